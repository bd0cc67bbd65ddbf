"""`taskmesh config`: every setting, its value and its source."""

from __future__ import annotations

import os
from typing import Any

import click

from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, say, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.config.settings import Settings, load_settings
from taskmesh.config.sources import OTHER_VARIABLES


@click.command(
    epilog=ending(
        examples=["taskmesh config", "taskmesh config -A app:mesh --json"],
        codes=["0 shown", "1 importing the app failed"],
    )
)
@target_options()
@json_option
def config(*, target: Target, json_wanted: bool) -> None:
    """Show every setting, its value and where that came from.

    Settings come, in this order, from the arguments of TaskMesh(...), TASKMESH_* variables, and the nearest
    taskmesh.toml or [tool.taskmesh] in pyproject.toml. With an app, its own arguments are among them. Secrets are not
    shown. Durations are in seconds, sizes in bytes.
    """
    if target.is_given:
        settings = target.load().settings
        name = settings.name
    else:
        name = ""
        settings = load_settings("any", {}, environ=os.environ, cwd=".")
        say("no app is given: what TaskMesh(...) is called with is not known here")
    others = {
        variable: os.environ[variable] for variable in sorted(OTHER_VARIABLES) if os.environ.get(variable)
    }
    rows = _rows(settings)
    if json_wanted:
        document: dict[str, Any] = {
            "mesh": name or None,
            "settings": {key: {"value": value, "source": source} for key, value, source in rows},
            "variables": others,
        }
        print_json(document)
        return
    title = f"settings of mesh {name}" if name else "settings"
    show(
        table(
            title,
            ["setting", "value", "source"],
            [(key, _shown(value), source) for key, value, source in rows],
        )
    )
    if others:
        show(table("other variables", ["variable", "value"], others.items()))


def _rows(settings: Settings) -> list[tuple[str, Any, str]]:
    return [(key, _json_value(value), settings.source_of(key)) for key, value in settings.shown().items()]


def _json_value(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)
