"""The demo's app and its one task: what the worker processes import."""

from __future__ import annotations

from pathlib import Path

from taskmesh import TaskMesh
from taskmesh.cli.demo.analysis import FileFigures, analyse_source

mesh = TaskMesh("demo", embedded="private")


@mesh.task
def analyse(path: str) -> FileFigures:
    """Read one file and return its figures; whatever is wrong with the file is the task's error."""
    return analyse_source(Path(path).read_bytes(), path)
