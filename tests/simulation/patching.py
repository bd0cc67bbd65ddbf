"""Rules with a text replaced: wrong on purpose, or mended ahead of time. Scripts, and functions of the package."""

from __future__ import annotations

import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType

from taskmesh.core.script import Script

Changes = tuple[tuple[str, str], ...]


class PatchOutdated(AssertionError):
    """The text that is to be replaced does not stand in the rule exactly once."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A function of the package that decides something.

    Attributes:
        owner: The class or module in which it is looked up.
        name: By which it is.
    """

    owner: type | ModuleType
    name: str

    @property
    def function(self) -> Callable[..., object]:
        """The function as it stands there now."""
        function: Callable[..., object] = vars(self.owner)[self.name]
        return function


def patched(script: Script, *changes: tuple[str, str]) -> Script:
    """Return a script with some texts replaced.

    Raises:
        PatchOutdated: A text does not stand there exactly once.
    """
    wrong = _changed(script.name, script.source.decode(), changes).encode()
    digest = hashlib.sha1(wrong, usedforsecurity=False).hexdigest().encode()
    return replace(script, source=wrong, sha=digest)


@contextmanager
def in_place_of(rule: Rule, *changes: tuple[str, str]) -> Iterator[None]:
    """Have a function with some texts replaced in place of the right one.

    Raises:
        PatchOutdated: A text does not stand there exactly once.
    """
    right = rule.function
    if not isinstance(right, FunctionType):
        raise TypeError(f"{rule.name} of {rule.owner} is {right!r}, and no plain function")
    source = _changed(right.__qualname__, textwrap.dedent(inspect.getsource(right)), changes)
    made: dict[str, Callable[..., object]] = {}
    # the future import keeps annotations from being looked up
    exec("from __future__ import annotations\n" + source, right.__globals__, made)
    setattr(rule.owner, rule.name, made[right.__name__])
    try:
        yield
    finally:
        setattr(rule.owner, rule.name, right)


def _changed(name: str, source: str, changes: Changes) -> str:
    for old, new in changes:
        if source.count(old) != 1:
            raise PatchOutdated(f"{name} has {source.count(old)} times, not once: {old!r}")
        source = source.replace(old, new)
    return source
