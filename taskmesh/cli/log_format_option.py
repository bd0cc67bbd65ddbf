"""`--log-format`: how a process that lasts writes its log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from taskmesh.config.settings import LOG_FORMATS, log_format_setting


def log_format_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--log-format`."""
    return click.option(
        "--log-format",
        metavar="FORMAT",
        help="How to say it: text, or json for a JSON document per line.  [default: the setting, else text]",
    )(function)


def format_of(given: str | None, environ: Mapping[str, str], cwd: Path) -> str:
    """Return the format that an option means, or else the surroundings; empty if nothing says so.

    Raises:
        UsageError: There is no such format.
        ConfigError: The setting is wrong.
    """
    if not given:
        return log_format_setting(environ, cwd) or ""
    if given.lower() not in LOG_FORMATS:
        raise click.UsageError(f"log format {given!r} is unknown; it is one of {', '.join(LOG_FORMATS)}")
    return given.lower()
