"""Scripts with a text replaced: wrong on purpose, or mended ahead of time."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from taskmesh.core.script import Script


class PatchOutdated(AssertionError):
    """The text that is to be replaced does not stand in the script exactly once."""


def patched(script: Script, *changes: tuple[str, str]) -> Script:
    """Return a script with some texts replaced.

    Raises:
        PatchOutdated: A text does not stand there exactly once.
    """
    source = script.source.decode()
    for old, new in changes:
        if source.count(old) != 1:
            raise PatchOutdated(f"{script.name} has {source.count(old)} times, not once: {old!r}")
        source = source.replace(old, new)
    wrong = source.encode()
    digest = hashlib.sha1(wrong, usedforsecurity=False).hexdigest().encode()
    return replace(script, source=wrong, sha=digest)
