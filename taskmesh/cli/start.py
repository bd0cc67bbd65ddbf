"""Where the command `taskmesh` begins: what ends a worker must count from here on, so it imports nothing yet."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_SERVING = ("worker", "up")
_PROBE = "probe"
_WITH_VALUE = ("-A", "--app")


def main() -> None:
    """Run the command line and exit."""
    command = command_of(sys.argv[1:])
    if command in _SERVING:
        from taskmesh.worker.early import record

        record()
    if command == _PROBE and sys.argv[1] == _PROBE:
        import os

        from taskmesh.cli.probing import quickly

        code = quickly(sys.argv[2:], os.environ)
        if code is not None:
            sys.exit(code)
    from taskmesh.cli.main import main as run

    run()


def command_of(words: Sequence[str]) -> str:
    """Return which command the words name; empty if they name none."""
    rest = iter(words)
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, "")
        elif not word.startswith("-"):
            return word
    return ""
