"""The demo's own settings: it runs alike everywhere, and touches nothing of the account's."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from taskmesh.config.settings import SETTINGS
from taskmesh.config.sources import VARIABLE_PREFIX

_KEY = secrets.token_hex(32)
"""One per process, as the app of `tasks` is. With it, no key file is made for the account."""


@contextmanager
def own_settings(nodes: int = 1) -> Iterator[None]:
    """Set aside what the environment says of other meshes, here and for the processes that are started.

    A `TASKMESH_NODES` in a shell's profile leads to real work; a demo must not turn up there.

    Args:
        nodes: How many private nodes the demo has.
    """
    before = dict(os.environ)
    for name in SETTINGS:
        os.environ.pop(variable(name), None)
    os.environ[variable("key")] = _KEY
    os.environ[variable("embedded_nodes")] = str(nodes)
    try:
        yield
    finally:
        for name in map(variable, SETTINGS):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def variable(name: str) -> str:
    """Return the variable of a setting."""
    return VARIABLE_PREFIX + name.upper()
