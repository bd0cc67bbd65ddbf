"""A mesh on a private node whose broker remembers what it was told."""

from __future__ import annotations

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.server_binary import find_server


@pytest.fixture(scope="session")
def recorded():
    try:
        find_server()
    except ServerBinaryMissing as error:
        pytest.skip(str(error))
    mesh = TaskMesh("recorded", embedded="private", broker="tests.apps.recording_broker:Recorder?of=tests")

    @mesh.task
    def add(a, b):
        return a + b

    yield mesh, add
    mesh.close()


@pytest.fixture
def mesh(recorded):
    mesh = recorded[0]
    mesh.broker.told.clear()
    return mesh


@pytest.fixture
def add(recorded):
    return recorded[1]
