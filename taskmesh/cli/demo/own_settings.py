"""The demo is of the same kind everywhere: its settings are its own, and it touches nothing of the account's."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from taskmesh.config.settings import SETTINGS
from taskmesh.config.sources import VARIABLE_PREFIX

_KEY = secrets.token_hex(32)
"""One per process, for the app of `tasks` is made once per process. With it, no key file is made for the account."""


@contextmanager
def own_settings() -> Iterator[None]:
    """Set aside the settings that the environment gives to other meshes, for this process and those it starts.

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
