"""Tasks that run for as long as a test wants."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support import wait_until

CHILDREN = 2


class Holds:
    """Tasks that say when they begin, and end when they are let go."""

    def __init__(self, app: ModuleType, folder: Path) -> None:
        self.app = app
        self.folder = folder
        self._names = count()
        self._held: list[tuple[str, Any]] = []

    def call(self, value: Any = None) -> tuple[str, tuple[str, str, Any]]:
        """Return a name and the arguments of `hold`."""
        name = f"h{next(self._names)}"
        return name, (str(self.folder), name, value)

    def note(self, name: str, handle: Any) -> None:
        """Have a call be let go and waited for at the end."""
        self._held.append((name, handle))

    def send(self, value: Any = None) -> tuple[str, Any]:
        """Send one, and return its name and handle."""
        name, args = self.call(value)
        handle = self.app.hold.delay(*args)
        self.note(name, handle)
        return name, handle

    def submit(self, executor: Any, value: Any = None) -> tuple[str, Any]:
        """Submit one, and return its name and future."""
        name, args = self.call(value)
        future = executor.submit(self.app.hold, *args)
        self.note(name, future)
        return name, future

    def began(self, name: str) -> None:
        """Wait until it runs."""
        wait_until((self.folder / f"began-{name}").exists, what=f"{name} runs")

    def let_go(self, name: str) -> None:
        """Let it end."""
        (self.folder / f"let-{name}").touch()

    def all_children(self) -> list[tuple[str, Any]]:
        """Occupy every child: what is sent afterwards waits."""
        held = [self.send() for _ in range(CHILDREN)]
        for name, _ in held:
            self.began(name)
        return held

    def let_all_go(self) -> None:
        """Let everything end, and wait until the children are free."""
        for name, _ in self._held:
            self.let_go(name)
        for _, handle in self._held:
            if hasattr(handle, "is_settled"):
                handle.get(timeout=90, propagate=False)
            elif not handle.cancelled():
                handle.exception(timeout=90)
