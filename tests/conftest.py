"""What holds for all tests: how Hypothesis judges; several servers, and RabbitMQ, for those that need them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.order import long_first

if TYPE_CHECKING:
    from tests.nodes import Nodes
    from tests.rabbitmq import RabbitMQ

settings.register_profile(
    "taskmesh", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("taskmesh")
_vhosts = count(1)


def pytest_configure():
    # what is begun in the background of a shell, as CI may be, ignores Ctrl-C, and so would all that tests start
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # a busy machine takes as long as that to start the workers of `mesh.workers()`, and embedded nodes
    from taskmesh.nodes import embedded, embedded_private
    from taskmesh.worker import launch

    launch.START_TIMEOUT_S = 180.0
    embedded_private._START_S = 90.0
    for start in (embedded.ensure_running, embedded.ensure_all, embedded.ensure_at):
        start.__kwdefaults__["timeout_s"] = 90.0


def pytest_runtest_setup():
    # a server of this test may have the port that one of another test's had, and its mesh the same name
    from taskmesh.nodes.known_members import forget

    forget()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    for item in items:
        if "make_nodes" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.needs_server)
    result = yield
    share = getattr(config, "workerinput", None)
    if share is not None:  # one of several processes, by `-n`
        items[:] = long_first(items, _is_long, share["workercount"])
    return result


def _is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


@pytest.fixture
def make_nodes(tmp_path: Path) -> Iterator[Callable[..., Nodes]]:
    """Start so many servers of the test's own, as `make_nodes(5)`; they are gone at its end."""
    from tests.nodes import Nodes

    made: list[Nodes] = []

    def make(count: int = 3, *, fsync: str = "no") -> Nodes:
        made.append(Nodes(tmp_path / f"nodes-{len(made)}", count, fsync=fsync))
        return made[-1]

    yield make
    for nodes in made:
        nodes.close()


@pytest.fixture
def three_nodes(make_nodes: Callable[..., Nodes]) -> Nodes:
    """Return three servers of the test's own: `three_nodes.urls`, and what may be done to each."""
    return make_nodes(3)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """Return one RabbitMQ for all tests of all processes: none may harm more of it than a virtual host of its own."""
    from tests.rabbitmq import shared

    folder, watched = tmp_path_factory.getbasetemp(), os.getpid()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder, watched = folder.parent, os.getppid()
    with shared(folder / "rabbitmq", watched) as server:
        yield server


@pytest.fixture
def vhost(rabbitmq: RabbitMQ) -> Iterator[str]:
    """Return the name of a virtual host of the test's own: `rabbitmq.url(vhost)` is the address of the broker."""
    name = f"test{os.getpid()}-{next(_vhosts)}"
    rabbitmq.add_vhost(name)
    yield name
    rabbitmq.delete_vhost(name)


@pytest.fixture
def own_rabbitmq(tmp_path: Path) -> Iterator[RabbitMQ]:
    """Return a RabbitMQ of the test's own, which may be harmed; it costs seconds to start."""
    from tests.rabbitmq import RabbitMQ

    server = RabbitMQ(tmp_path / "rabbitmq")
    try:
        server.start()
        yield server
    finally:
        server.close()
