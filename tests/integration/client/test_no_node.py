"""A node that is not there: what a sender is told."""

import asyncio

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import SendRejected

NOWHERE = "unix:///nowhere/at/all.sock"


def identity(value):
    return value


@pytest.fixture
def mesh():
    return TaskMesh("nowhere", nodes=[NOWHERE], key="x" * 32, send_timeout=0.2, connect_timeout=0.2)


@pytest.mark.parametrize(
    "send",
    [
        lambda mesh, task: task.delay(1),
        lambda mesh, task: task.map([1, 2]),
        lambda mesh, task: mesh.submit(abs, 1),
        lambda mesh, task: mesh.executor().submit(abs, 1),
        lambda mesh, task: asyncio.run(task.adelay(1)),
    ],
    ids=["delay", "map", "submit", "executor", "adelay"],
)
def test_a_first_send_that_cannot_reach_the_node_is_rejected(mesh, send):
    """Not only later ones: the README promises it of every send."""
    task = mesh.task(identity)
    with pytest.raises(SendRejected, match="nothing was sent"):
        send(mesh, task)
