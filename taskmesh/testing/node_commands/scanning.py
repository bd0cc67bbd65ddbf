"""What HSCAN, SSCAN and ZSCAN have in common: of something small a real node tells everything at once."""

from __future__ import annotations

from collections.abc import Callable

from taskmesh.testing.node_commands.numbers import parse_int
from taskmesh.testing.node_commands.values import SYNTAX, Arguments, CommandError, Reply


def scanned(argv: Arguments, read: Callable[[], Reply]) -> Reply:
    """Return the reply to `xSCAN key cursor [COUNT count]`.

    Args:
        argv: The command.
        read: Returns what stands at the key.

    Raises:
        CommandError: As a real node has it.
    """
    try:
        int(argv[2])
    except ValueError:
        raise CommandError("ERR invalid cursor") from None
    whole = read()
    options = argv[3:]
    # The key is looked at before the options are.
    if (
        whole
        and options
        and (len(options) != 2 or options[0].upper() != b"COUNT" or parse_int(options[1]) < 1)
    ):
        raise CommandError(SYNTAX)
    return [b"0", whole]
