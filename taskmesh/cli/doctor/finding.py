"""A finding: what was looked at, how it is, what to do. Secrets that can be found are not told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from taskmesh.core.redact import redact


class Level(Enum):
    """How it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: What was looked at.
        level: How it is.
        text: What was found.
        remedy: What to do; empty where nothing needs to be done.
    """

    check: str
    level: Level
    text: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the finding for programs."""
        return asdict(self) | {"level": self.level.value}


def ok(check: str, text: str, remedy: str = "") -> Finding:
    """Return a finding that all is well."""
    return Finding(check, Level.OK, redact(text), redact(remedy))


def warn(check: str, text: str, remedy: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(check, Level.WARN, redact(text), redact(remedy))


def fail(check: str, text: str, remedy: str) -> Finding:
    """Return a finding that keeps a promise from being kept."""
    return Finding(check, Level.FAIL, redact(text), redact(remedy))
