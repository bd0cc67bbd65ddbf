"""The network falls apart between three nodes, in the kernel: one alone accepts nothing, the others go on."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.apps import ledger_tasks
from tests.faults.country import Country
from tests.faults.load import Load
from tests.faults.mesh_nemesis import MeshNemesis
from tests.faults.mesh_scene import CHANGE_S, MeshScene, balance
from tests.faults.server import Server
from tests.nodes import Nodes
from tests.support import wait_until

#: Where the node is that is cut off, with a worker and a caller beside it.
ALONE = 0
#: The sender rests so long after each send.
PAUSE_S = 0.05
TASK = "tests.apps.ledger_tasks.entry"


@pytest.fixture
def country() -> Iterator[Country]:
    """Three places with a node each; this process and the workers of the greater side are at the switch."""
    country = Country(3)
    yield country
    country.close()


@pytest.fixture
def scene(
    country: Country,
    make_server: Callable[..., Server],
    make_mesh_scene: Callable[..., MeshScene],
    tmp_path: Path,
) -> MeshScene:
    servers = [
        make_server(host=country.host(place), within=country.within(place)) for place in range(country.count)
    ]
    return make_mesh_scene(Nodes(tmp_path, 0, servers=servers))


class Caller:
    """Who calls from the lesser side, by a command."""

    def __init__(self, scene: MeshScene, country: Country, folder: Path) -> None:
        self._words = [
            *country.within(ALONE),
            *(sys.executable, "-m", "taskmesh", "call", "-A", "tests.apps.worker_chaos:mesh"),
            *("--path", str(Path(__file__).parents[2]), TASK, str(folder)),
        ]
        self._environ = scene.environ()

    def call(self) -> subprocess.CompletedProcess[str]:
        """Send one message."""
        return subprocess.run(
            self._words, env=self._environ, capture_output=True, text=True, timeout=300, check=False
        )


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("harm", "heal"),
    [(Country.pull, Country.plug_in), (Country.mute, Country.unmute)],
    ids=["cut-off", "heard-by-nobody"],
)
def test_a_node_apart_accepts_nothing_and_the_others_go_on(
    scene: MeshScene,
    country: Country,
    seed: int,
    harm: Callable[[Country, int], None],
    heal: Callable[[Country, int], None],
) -> None:
    """With its cable pulled it reaches nobody; where it is only mute, it hears what is asked, and no answer arrives."""
    beside = scene.worker(1, name="beside", within=country.within(ALONE), ready=False, log_level="INFO")
    MeshNemesis(scene, random.Random(seed))
    wait_until(lambda: "processes on 3 nodes" in beside.said() or "1 process" in beside.said(), CHANGE_S)
    calls = scene.folder / "calls"
    calls.mkdir()
    caller = Caller(scene, country, calls)
    assert caller.call().returncode == 0
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(40)
        harm(country, ALONE)
        before = scene.without(ALONE).number
        load.ran(40)
        refused = caller.call()
        assert refused.returncode == 1, (refused.stdout, refused.stderr)
        accepted = len(load.ledger.accepted)
        load.accepted(40)
        heal(country, ALONE)
        scene.newer(before)
        load.look()
        load.ran(40)
    assert len(load.ledger.accepted) > accepted
    balance(scene, load)
    assert caller.call().returncode == 0
    wait_until(lambda: (calls / ledger_tasks.BOOK).read_text().count("end ") >= 2, CHANGE_S, "both are run")
    begun = (calls / ledger_tasks.BOOK).read_text().count("begin ")
    assert begun in (2, 3), "what was refused may have been left for later; no more is run"
