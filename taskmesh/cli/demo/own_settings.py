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
def own_settings() -> Iterator[None]:
    """Set aside what the environment says of other meshes, here and for the processes that are started.

    A `TASKMESH_NODES` in a shell's profile leads to real work; a demo must not turn up there.
    """
    before = dict(os.environ)
    for name in SETTINGS:
        os.environ.pop(_variable(name), None)
    os.environ[_variable("key")] = _KEY
    try:
        yield
    finally:
        for variable in map(_variable, SETTINGS):
            os.environ.pop(variable, None)
            if variable in before:
                os.environ[variable] = before[variable]


def _variable(name: str) -> str:
    return VARIABLE_PREFIX + name.upper()
