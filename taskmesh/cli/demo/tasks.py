"""The demo's app and its one task: what the worker processes import."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from taskmesh import TaskMesh
from taskmesh.cli.demo.analysis import FileFigures, analyse_source
from taskmesh.cli.demo.own_settings import variable

# How many nodes, as the demo has said it in the environment, which worker processes share.
NODES = int(os.environ.get(variable("embedded_nodes"), "1"))

# Given as arguments, which go before a `taskmesh.toml` that happens to lie where the demo is started.
mesh = TaskMesh(
    "demo",
    embedded="private",
    embedded_nodes=NODES,
    replicas=min(3, NODES),
    eager=False,
    default_queue="default",
    allow_tasks=("*",),
)


@mesh.task
def analyse(path: str) -> FileFigures:
    """Read one file and return its figures; whatever is wrong with the file is the task's error."""
    return analyse_source(Path(path).read_bytes(), path)


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether a line of the worker's log is more than that a file failed: that stands in a table."""
    return not (isinstance(record.args, tuple) and analyse.name in record.args)


logging.getLogger("taskmesh.worker").addFilter(_is_news)
