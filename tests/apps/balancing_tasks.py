"""Tasks of two queues that leave one letter each in a file, in the order in which they run."""

from __future__ import annotations

import os

from taskmesh import TaskMesh

mesh = TaskMesh("balancing", embedded="private")


def _note(path: str, letter: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, letter)
    finally:
        os.close(fd)


@mesh.task(queue="mail")
def mail(path: str) -> None:
    """Note an m."""
    _note(path, b"m")


@mesh.task(queue="slow")
def slow(path: str) -> None:
    """Note an s."""
    _note(path, b"s")
