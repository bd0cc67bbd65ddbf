"""Signed orders reach workers; anything else on their lists is refused."""

import subprocess
import sys

import pytest

from taskmesh import TaskMesh
from taskmesh.codec.control import Control, encode_control
from taskmesh.codec.keyring import Keyring
from taskmesh.core import keys
from taskmesh.errors import UsageError
from taskmesh.queue.control import give_orders
from taskmesh.queue.manage import status
from tests.support import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def mesh():
    with TaskMesh("orders", embedded="private") as made:
        yield made


def incarnations(mesh):
    return [worker[0].encode() for worker in mesh.link.run(status(mesh.link.session)).workers]


def test_a_worker_that_is_told_to_stop_stops(mesh):
    with mesh.workers(1, name="one") as workers, mesh.workers(1, name="two"):
        assert mesh.stop_workers("one") == ["one"]
        wait_until(lambda: workers._process.poll() == 0, what="worker one has stopped, cleanly")
        names = [info for _, _, _, info, _ in mesh.link.run(status(mesh.link.session)).workers]
        assert len(names) == 1
        assert b'"two"' in names[0]


def test_an_unknown_name_is_refused(mesh):
    with mesh.workers(1, name="one"), pytest.raises(UsageError, match=r"'uno'.*it has one"):
        mesh.stop_workers("uno")


def test_what_is_not_signed_with_a_key_of_the_mesh_is_not_obeyed(mesh):
    link = mesh.link.open()
    strange = Keyring.new().signer("control", mesh.name)
    order = Control("1", "shutdown", created_ms=link.clock.now_ms(), sender="somebody")
    good = encode_control(order, link.controls)
    flipped = bytearray(good)
    flipped[60] ^= 1
    with mesh.workers(1, name="one") as workers:
        (incarnation,) = incarnations(mesh)
        for wire in (b"", b"junk", encode_control(order, strange), bytes(flipped)):
            link.run(give_orders(link.session, [incarnation], wire))
        key = keys.control(link.prefix, incarnation)
        wait_until(lambda: not mesh_list(link, key), what="all were read")
        result = mesh.submit(sys.getrecursionlimit).get(timeout=90)
        assert result > 0
        assert workers._process.poll() is None


def mesh_list(link, key):
    from taskmesh.replication.ask import plain

    return link.run(plain(link.session, b"LRANGE", key, b"0", b"-1"))


def test_the_command_says_whom_it_told(mesh, monkeypatch):
    monkeypatch.setenv("TASKMESH_NODES", mesh.address().url)
    with mesh.workers(1, name="one") as workers:
        ended = subprocess.run(
            [sys.executable, "-m", "taskmesh", "workers", "--mesh", "orders", "--stop", "one"],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert (ended.returncode, ended.stdout.strip()) == (0, "told to stop: one"), ended.stderr
        wait_until(lambda: workers._process.poll() == 0, what="the worker has stopped")
