"""The app that the workers of the trust tests import: tasks that take what only an honest message may bring."""

from __future__ import annotations

import os
from typing import Any

from taskmesh import TaskMesh

mesh = TaskMesh(os.environ.get("TASKMESH_TEST_MESH", "trust-unused"), eager=False)


def echo(value: Any) -> Any:
    """Return the argument."""
    return value


def forbidden(value: Any) -> Any:
    """Never runs where `allow_tasks` says so."""
    return value


def register(to: TaskMesh) -> TaskMesh:
    """Make these tasks of a mesh, and return that."""
    for function in (echo, forbidden):
        to.task(function)
    return to


register(mesh)
