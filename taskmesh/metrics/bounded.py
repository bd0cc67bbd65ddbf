"""Names as values of a label, of which there may be only so many: each series costs whoever stores it."""

from __future__ import annotations

from collections.abc import Iterable

#: What stands for all names beyond the bound.
OTHER = "other"
#: How many names of tasks, and of queues, are told apart.
NAMES_MAX = 100


class Bounded:
    """Gives out labels. What a name was shown as it is shown as for ever, so that no counter goes back."""

    def __init__(self, most: int = NAMES_MAX) -> None:
        """Prepare, for so many names."""
        self._most = most
        self._known: set[str] = set()

    def prefer(self, names: Iterable[str]) -> None:
        """Give labels to some names before others come, as far as there are any left."""
        for name in names:
            self.of(name)

    def of(self, name: str) -> str:
        """Return the label of a name."""
        if name not in self._known and name != OTHER:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(name)
        return name
