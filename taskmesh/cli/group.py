"""Groups of commands that suggest what was meant, and load a command only when it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module

import click


class SuggestingGroup(click.Group):
    """A group that names the nearest command when there is none of the name given."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names.

        Raises:
            UsageError: There is none.
        """
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            instead = self.instead_of(name)
            if instead:
                ctx.fail(f"there is no command {name!r}: {instead}")
            near = self._below(ctx, name) or get_close_matches(name, self.list_commands(ctx), n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"there is no command {name!r}{hint}")
        return super().resolve_command(ctx, args)

    def instead_of(self, name: str) -> str:
        """Return what there is instead of a command of Celery; empty where nothing is known of it."""
        del name
        return ""

    def _below(self, ctx: click.Context, name: str) -> list[str]:
        """Return the commands of this very name that stand in groups of this one: `queue pause` for `pause`."""
        groups = [(group, self.get_command(ctx, group)) for group in self.list_commands(ctx)]
        return [
            f"{group} {name}"
            for group, command in groups
            if isinstance(command, click.Group) and command.get_command(ctx, name) is not None
        ]


class LazyGroup(SuggestingGroup):
    """A group whose commands are imported when they are run, so that `--help` costs none of them."""

    def __init__(
        self,
        *args: object,
        sections: Mapping[str, Mapping[str, tuple[str, str]]],
        **kwargs: object,
    ) -> None:
        """Make a group; the rest is as for `click.Group`.

        Args:
            args: As for `click.Group`.
            sections: Title of a part of the help -> name of a command -> where it is (`module:attribute`),
                and the first sentence of its help, which must be the same there.
            kwargs: As for `click.Group`.
        """
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.sections = sections
        self._where = {name: where for part in sections.values() for name, (where, _) in part.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are shown."""
        return [*self._where, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of this name."""
        where = self._where.get(cmd_name)
        if where is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = where.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands section by section, without importing them."""
        del ctx
        width = max(len(name) for name in self._where)
        for title, part in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), summary) for name, (_, summary) in part.items()])


def ending(*, examples: Sequence[str], codes: Sequence[str], interrupted: str = "130 Ctrl-C") -> str:
    """Return the end of a command's help: examples to copy, and its exit codes.

    Args:
        examples: Lines to type.
        codes: Such as `"0 done"`; 2 for wrong usage is added.
        interrupted: What Ctrl-C makes of it; empty where that is the way to end it.
    """
    lines = "\n".join(f"  {line}" for line in examples)
    every = [*codes, "2 wrong usage or settings", *([interrupted] if interrupted else [])]
    head = "Example" if len(examples) == 1 else "Examples"
    return f"\b\n{head}:\n{lines}\n\n\b\nExit codes:\n" + "\n".join(f"  {code}" for code in every)
