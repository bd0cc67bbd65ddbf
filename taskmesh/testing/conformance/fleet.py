"""The app that the workers of the suite import; all settings stand in their environment."""

from __future__ import annotations

import os

from taskmesh.app import TaskMesh
from taskmesh.testing.conformance.tasks import register

#: Variable with the name of the mesh.
NAME = "CONFORMANCE_MESH"

mesh = register(TaskMesh(os.environ[NAME]))
