"""How a command fails: one line on stderr, and an exit code."""

from __future__ import annotations

from typing import IO, Any

import click

from taskmesh.core.redact import redact
from taskmesh.errors import TaskMeshError, is_usage

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Failure(click.ClickException):
    """The command cannot do what it was asked to; the message says why and what to do. No secrets that can be found."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILURE) -> None:
        super().__init__(redact(message))
        # click declares it as if every failure had the same
        self.exit_code = exit_code  # type: ignore[misc]
        context = click.get_current_context(silent=True)
        self.who = context.command_path if context is not None else "taskmesh"

    @classmethod
    def of(cls, error: TaskMeshError) -> Failure:
        """Return the failure that an error of TaskMesh means for a command."""
        return cls(str(error), EXIT_USAGE if is_usage(error) else EXIT_FAILURE)

    def show(self, file: IO[Any] | None = None) -> None:
        """Write `taskmesh <command>: <message>` to stderr."""
        click.echo(f"{self.who}: {self.format_message()}", file=file, err=file is None)
