"""The names of balancing strategies: those that come with TaskMesh, and those that other packages add.

What they do is in `taskmesh.balancing`; a setting can be checked without that.
"""

from __future__ import annotations

from typing import Any

from taskmesh.config.values import NotOneOf

DEFAULT = "round-robin"
#: Those that come with TaskMesh.
STRATEGIES = (DEFAULT, "weighted", "priority", "random", "longest-queue", "two-choices")
#: Packages add strategies by this group of entry points.
GROUP = "taskmesh.strategies"


def strategy_name(value: Any) -> str:
    """Read the name of a strategy.

    Raises:
        NotOneOf: There is none of that name; its choices hold those of installed packages, too.
    """
    name = value.strip() if isinstance(value, str) else ""
    if name in STRATEGIES:
        return name
    added = added_names()
    if name in added:
        return name
    raise NotOneOf((*STRATEGIES, *added))


def added_names() -> tuple[str, ...]:
    """Return the names that installed packages add; nothing of them is loaded."""
    from importlib.metadata import entry_points  # reads a file per installed package

    return tuple(sorted({found.name for found in entry_points(group=GROUP)} - {*STRATEGIES}))
