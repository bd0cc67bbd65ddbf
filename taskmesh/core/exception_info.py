"""What was raised, as Celery's hooks are given it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExceptionInfo:
    """What Celery's hooks are given as `einfo`.

    Attributes:
        exception: What was raised.
        traceback: Its traceback as a text.
    """

    exception: BaseException
    traceback: str

    @property
    def type(self) -> type[BaseException]:
        """Its class."""
        return type(self.exception)

    def __str__(self) -> str:
        return self.traceback
