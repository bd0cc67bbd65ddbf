"""The app that the workers of the suite import; all settings stand in their environment."""

from __future__ import annotations

import os

from taskmesh.app import TaskMesh
from taskmesh.testing.conformance.tasks import MESH_VARIABLE, register

mesh = register(TaskMesh(os.environ[MESH_VARIABLE]))
