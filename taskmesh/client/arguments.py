"""What a function can be called with: a call that cannot be is refused where it is written, not on a worker."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature
from typing import Any

from taskmesh.core.call import positional
from taskmesh.errors import WrongArguments

_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """What one task can be called with.

    Most calls are found right by counting, or by comparing two sets; only what remains is bound to the signature,
    which tells precisely what is wrong.

    Attributes:
        least: How many positional arguments must be given when nothing else is.
        most: How many can be.
    """

    __slots__ = ("_by_count", "_signature", "_task", "least", "most")

    def __init__(self, task: str, function: Callable[..., Any] | None) -> None:
        """Read the signature.

        Args:
            task: Name of the task.
            function: The function; None to accept all calls, as for one whose signature cannot be read.
        """
        self._task = task
        self._signature = signature_of(function) if function is not None else None
        # for each number of positional arguments, the names that must be given beside them, and those that can be
        self._by_count: list[tuple[frozenset[str], frozenset[str]]] = []
        self.least, self.most = 0, sys.maxsize
        if self._signature is not None:
            self._count(self._signature)

    def _count(self, signature: Signature) -> None:
        parameters = list(signature.parameters.values())
        by_position = [each for each in parameters if each.kind in _BY_POSITION]
        by_name = [each for each in parameters if each.kind is Parameter.KEYWORD_ONLY]
        for given in range(len(by_position) + 1):
            left = [*by_position[given:], *by_name]
            self._by_count.append(
                (
                    frozenset(each.name for each in left if each.default is Parameter.empty),
                    frozenset(each.name for each in left if each.kind is not Parameter.POSITIONAL_ONLY),
                )
            )
        enough = [count for count, (required, _) in enumerate(self._by_count) if not required]
        if not enough:
            self.least, self.most = 1, 0  # none is: something must be given by name
            return
        self.least = enough[0]
        if all(each.kind is not Parameter.VAR_POSITIONAL for each in parameters):
            self.most = len(by_position)

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Refuse a call that the function would refuse.

        Raises:
            WrongArguments: It would.
        """
        if not kwargs:
            if self.least <= len(args) <= self.most:
                return
        elif len(args) < len(self._by_count):
            required, possible = self._by_count[len(args)]
            if required <= kwargs.keys() <= possible:
                return
        signature = self._signature
        if signature is None:
            return
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            takes = ", ".join(
                str(each.replace(annotation=Parameter.empty)) for each in signature.parameters.values()
            )
            raise WrongArguments(
                f"task {self._task} cannot be called like that: {error}; it takes ({takes}), and was given "
                f"{_told(len(args), kwargs)} {self._advice(signature, kwargs)}",
                task=self._task,
            ) from None

    def _advice(self, signature: Signature, kwargs: Mapping[str, Any]) -> str:
        """Return what to do about a call that was refused."""
        from taskmesh.client.options import CallArguments

        options = CallArguments.__optional_keys__ | {"task_id"}
        meant = [name for name in kwargs if name in options and name not in signature.parameters]
        if not meant:
            return "(`typing=False` in @mesh.task leaves this to the worker)"
        return (
            f"({meant[0]} is an option of a call: apply_async takes it, as in "
            f"`task.apply_async(args, {meant[0]}=...)`; what is no task becomes one by mesh.by_value(function))"
        )

    def checked(self, call: Iterable[Any]) -> tuple[Any, ...]:
        """Return positional arguments as a tuple, or refuse them as `check` does."""
        args = positional(self._task, call)
        if not self.least <= len(args) <= self.most:
            self.check(args, {})
        return args


def signature_of(function: Callable[..., Any]) -> Signature | None:
    """Return the signature of what is really called; None if it cannot be read.

    What a decorator wraps is not looked at: it may give its function other arguments than it takes.
    """
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            # annotations may name what only a type checker imports
            return inspect.signature(function, follow_wrapped=False, annotation_format=Format.FORWARDREF)
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def _told(count: int, kwargs: Mapping[str, Any]) -> str:
    by_position = f"{count} by position"
    return f"{by_position} and {', '.join(map(repr, kwargs))} by name" if kwargs else by_position
