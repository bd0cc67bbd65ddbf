"""`--probes`: where a process that lasts serves its probes and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from taskmesh.config import values
from taskmesh.config.settings import probes_setting


def probes_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--probes`."""
    return click.option(
        "--probes",
        metavar="[HOST]:PORT",
        help="Serve /livez, /readyz and /metrics there; :8484 on all addresses, 8484 to this host alone, off.  "
        "[default: the setting, else off]",
    )(function)


def probes_of(given: str | int | None, environ: Mapping[str, str], cwd: Path) -> str | None:
    """Return where probes are to be served, by an option or else by the surroundings; None if nothing says so.

    Raises:
        ConfigError: The setting is wrong.
    """
    if given is None:
        return probes_setting(environ, cwd)
    try:
        return values.probes(given)
    except ValueError as error:
        raise click.UsageError(f"--probes {given}: {error}") from None
