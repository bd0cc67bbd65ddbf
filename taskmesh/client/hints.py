"""Names of Celery that are asked of a task, a result or a mesh: each is answered with what there is here.

They are looked for only when a name is missing, so they cost nothing else; type checkers do not see it, since to them
a missing name is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from taskmesh.errors import UsageError


class Hinting:
    """Something whose missing names may be Celery's."""

    __slots__ = ()
    _celery_has: ClassVar[str]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Refuse a name that there is not; of one of Celery say what to use instead."""
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name[:1] != "_":
                from taskmesh.client import elsewhere_names

                instead = getattr(elsewhere_names, self._celery_has).get(name)
                if instead is not None:
                    raise AttributeError(f"{text}, which is a name of Celery: {instead}")
            raise AttributeError(text, name=name, obj=self)


class HintingTask(Hinting):
    """A task."""

    __slots__ = ()
    _celery_has = "OF_TASKS"


class HintingResult(Hinting):
    """A handle."""

    __slots__ = ()
    _celery_has = "OF_RESULTS"


class HintingMesh(Hinting):
    """A mesh."""

    __slots__ = ()
    _celery_has = "OF_MESHES"


def refuse_options_of_get(given: Iterable[str]) -> None:
    """Raise `UsageError` for what `AsyncResult.get` was given and does not know."""
    from taskmesh.client.elsewhere_names import OF_GET

    name = next(iter(given))
    instead = OF_GET.get(name)
    if instead is not None:
        raise UsageError(f"{name!r} is an option of Celery and means nothing for get() here: {instead}")
    raise UsageError(f"get() does not know the option {name!r}; it knows timeout and propagate")
