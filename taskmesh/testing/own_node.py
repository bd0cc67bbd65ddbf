"""An app's mesh on a node of the test's own, so that tests and what runs on the machine never meet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh
    from taskmesh.config import Settings

SOURCE = "the test's own node"
EMBEDDED, NODES = "TASKMESH_EMBEDDED", "TASKMESH_NODES"


@contextmanager
def own_node(mesh: TaskMesh) -> Iterator[None]:
    """Have a mesh live on a private node for the length of a block; workers that it starts find it there as well.

    A mesh stays where it is if somebody has said where tests are to run: in code (`nodes=`), or with one of the
    variables `TASKMESH_NODES` and `TASKMESH_EMBEDDED`. An address in a file is what the app uses in daily life, and
    says nothing of tests.

    Args:
        mesh: Of the app; it lives where it did afterwards.
    """
    settings = mesh.settings
    if _is_chosen(settings):
        yield
        return
    private = replace(
        settings,
        nodes=(),
        embedded="private",
        # one private node, which keeps nothing on disk, whatever the app asks of its own
        replicas=None,
        embedded_nodes=None,
        sources={**settings.sources, "nodes": SOURCE, "embedded": SOURCE}
        | dict.fromkeys(("durability", "replicas", "embedded_nodes"), "default"),
    )
    given = EMBEDDED in os.environ
    os.environ.setdefault(EMBEDDED, "private")
    mesh._rewire(private)  # noqa: SLF001 - for tests only: a running program has no use for it
    try:
        yield
    finally:
        if not given:
            os.environ.pop(EMBEDDED, None)
        mesh._rewire(settings)  # noqa: SLF001 - as above


def _is_chosen(settings: Settings) -> bool:
    return (
        settings.eager
        or (settings.embedded == "private" and not settings.nodes)
        or settings.source_of("nodes") in {"argument", NODES}
        or settings.source_of("embedded") == EMBEDDED
    )
