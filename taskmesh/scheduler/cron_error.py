"""Why a cron line is refused, and at which of its columns.

`cronsim` says which field is bad; here the terms of the line are given to it one by one, to say which and why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from cronsim import CronSim, CronSimError

from taskmesh.errors import UsageError

#: What a line ends with that runs only on days which both of its fields of days name.
BOTH_DAYS = "both-days"
ANY_TIME = datetime(2000, 1, 1)  # noqa: DTZ001 - a wall time: a line is parsed without a zone


class _Field(NamedTuple):
    name: str
    least: int
    most: int
    also: str = ""

    @property
    def range(self) -> str:
        return f"{self.least} to {self.most}{self.also}"


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31, ", L or LW"),
    _Field("month", 1, 12, " or jan to dec"),
    _Field("day of week", 0, 7, " or sun to sat (0 and 7 are Sunday)"),
)
_WHAT = "5 fields (minute, hour, day of month, month, day of week), or 6 with the second first"

_FULL_NAMES = re.compile(
    r"\b(mon|tue|wed|thu|fri|sat|sun)(?:day|sday|nesday|rsday|urday)\b"
    r"|\b(jan|feb|mar|apr|jun|jul|aug|sep|oct|nov|dec)(?:uary|ruary|ch|il|e|y|ust|tember|ober|ember)\b",
    re.IGNORECASE,
)


def shortened(text: str) -> str:
    """Return a line with `mon` for `Monday` and `jan` for `January`, as `cronsim` knows them."""
    return _FULL_NAMES.sub(lambda name: name[1] or name[2], text)


def refuse_line(line: str, *, never: bool = False) -> UsageError:
    """Return the error for a line that cannot be read, or (`never`) names a day that never comes.

    The error has `line`, `field` and `column` (from 1) as attributes.
    """
    words = [(found.start() + 1, found[0]) for found in re.finditer(r"\S+", line)]
    if words and words[-1][1].lower() == BOTH_DAYS:
        words.pop()
    if len(words) not in {5, 6}:
        fields = "1 field" if len(words) == 1 else f"{len(words)} fields"
        return _refusal(line, f"has {fields}: expected {_WHAT}", None, 1)
    return _refuse_words(line, words, never=never)


def _refuse_words(line: str, words: Sequence[tuple[int, str]], *, never: bool) -> UsageError:
    fields = _FIELDS[6 - len(words) :]
    for field, (start, word) in zip(fields, words, strict=True):
        column = start
        for term in word.split(","):
            if not _can_be_read(field, term):
                return _refusal(line, _reason(field, term), field, column)
            column += len(term) + 1
    day = words[len(words) - 3]
    why = "no day is named by all of its fields" if never else f"no month that it names has a day {day[1]}"
    return _refusal(line, f"would never run: {why}", _FIELDS[3], day[0])


def refuse_step(line: str, fields: Sequence[str]) -> None:
    """Refuse steps beyond a field's range, which would silently mean once an hour or a day.

    Raises:
        UsageError: Such as `*/120` as the minute.
    """
    for field, text in zip(_FIELDS[:3], fields, strict=False):
        for step in re.findall(r"/(\d+)", text):
            if int(step) > field.most + 1:
                raise _refusal(
                    line,
                    f"a step of {step} {field.name}s begins anew after {field.most + 1}, so it would be one of "
                    f"{field.most + 1}; name the times, or use every(...)",
                    field,
                    line.index(f"/{step}") + 1,
                )


def _can_be_read(field: _Field, term: str) -> bool:
    words = ["*"] * 6
    words[_FIELDS.index(field)] = shortened(term)
    try:
        CronSim(" ".join(words), ANY_TIME)
    except CronSimError:
        return False
    return bool(term)


def _reason(field: _Field, term: str) -> str:
    values, slash, step = term.partition("/")
    if not term:
        return f"a {field.name} is missing beside a comma"
    if slash and not (step.isdecimal() and int(step)):
        return f"{term!r} has no step that is a number above 0"
    for number in re.findall(r"\d+", values.partition("#")[0]):
        if not field.least <= int(number[:20]) <= field.most:
            return f"{number} is no {field.name}: {field.range}"
    ends = values.split("-")
    if len(ends) == 2 and all(_can_be_read(field, end) for end in ends):
        return f"{values!r} ends before it begins; write it as two ranges, with a comma between them"
    if term == "?":
        return "'?' is not known here; write '*'"
    return f"{term!r} is no {field.name}: {field.range}, lists (1,2), ranges (1-5), steps (*/5)"


def _refusal(line: str, why: str, field: _Field | None, column: int) -> UsageError:
    where = f", {field.name} (column {column}):" if field else ""
    return UsageError(
        f"cron line {line!r}{where} {why}", line=line, field=field.name if field else None, column=column
    )
