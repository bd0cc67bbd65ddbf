"""Sending by name, where that can be seen without a node."""

from __future__ import annotations

import asyncio

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import UnknownTask, UsageError, WrongArguments


@pytest.fixture
def mesh():
    return TaskMesh("by-name", eager=True)


def test_a_task_that_is_known_here_is_sent(mesh):
    mesh.task(name="shop.add")(lambda x, y: x + y)
    assert mesh.send_task("shop.add", (1,), {"y": 2}, task_id="mine").id == "mine"
    assert mesh.send_task("shop.add", [1, 2]).get() == 3

    async def send():
        return await (await mesh.asend_task("shop.add", (1, 2)))

    assert asyncio.run(send()) == 3


def test_an_inline_mesh_cannot_run_what_is_not_here(mesh):
    with pytest.raises(UnknownTask, match=r"knows no task 'shop\.add' here"):
        mesh.send_task("shop.add", (1, 2))


def test_names_options_and_arguments_are_read_all_the_same(mesh):
    mesh.task(name="shop.add", typing=False)(print)
    with pytest.raises(UsageError, match="the name of a task is 5"):
        mesh.send_task(5)
    with pytest.raises(UsageError, match="did you mean priority"):
        mesh.send_task("shop.add", prioritty=3)
    with pytest.raises(WrongArguments, match="args='ab'"):
        mesh.send_task("shop.add", "ab")
