"""The arguments of a call, as they are given in one piece: `apply_async(args, kwargs)`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from taskmesh.errors import WrongArguments


def positional(task: str, args: Iterable[Any]) -> tuple[Any, ...]:
    """Return positional arguments as a tuple.

    Args:
        task: Name of the task, for the error.
        args: A tuple or a list; a text would become as many arguments as it has letters.

    Raises:
        WrongArguments: They are something else.
    """
    if type(args) is tuple:
        return args
    if isinstance(args, str | bytes | bytearray | memoryview | Mapping) or not isinstance(args, Iterable):
        hint = "arguments by name come second" if isinstance(args, Mapping) else "for one argument write (x,)"
        raise WrongArguments(
            f"task {task} was given args={args!r}: expected a tuple or a list of arguments; {hint}", task=task
        )
    return tuple(args)


def by_name(task: str, kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return arguments by name as a dict of one's own.

    Args:
        task: Name of the task, for the error.
        kwargs: A dict with texts as keys, or None.

    Raises:
        WrongArguments: It is something else.
    """
    if kwargs is None:
        return {}
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise WrongArguments(
            f"task {task} was given kwargs={kwargs!r}: expected a dict of arguments by their names, such as "
            '{"x": 1}',
            task=task,
        )
    return dict(kwargs)
