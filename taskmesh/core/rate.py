"""How often a task may be started, by the whole fleet."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_RATE = re.compile(r"([1-9]\d{0,5})/([smh])", re.ASCII)
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}

#: The lateness that is allowed for, as a share of the period, and its bounds in seconds.
GRACE = 0.03
GRACE_S_MIN = 0.02
GRACE_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Rate:
    """No window of the period's length may see more starts than the count.

    Starts are granted evenly spaced (GCRA, ITU-T I.371, without a burst). Two things may make them less even: a message
    comes back a little after its moment, and a task starts a little after it was granted that. Both are allowed for up
    to a grace: if all of a period came as late as they may and those of the next in time, a window could see more, so
    the spacing is wider by both.

    Attributes:
        count: Most starts in a period.
        period_s: Its length.
    """

    count: int
    period_s: float

    @property
    def grace_us(self) -> int:
        """How late a message may come back, and how late after a grant it may start, in microseconds each."""
        return int(1e6 * min(GRACE_S_MAX, max(GRACE_S_MIN, GRACE * self.period_s)))

    @property
    def interval_us(self) -> int:
        """Microseconds between two starts."""
        # both ends of a window of whole milliseconds may be a millisecond off
        return math.ceil((self.period_s * 1e6 + 2 * self.grace_us + 2000) / self.count)

    def __str__(self) -> str:
        """Show it as it is written."""
        return f"{self.count}/{ {1.0: 's', 60.0: 'm', 3600.0: 'h'}[self.period_s] }"


def read_rate(text: object) -> Rate:
    """Return a rate limit from a text such as `100/s`, `10/m` or `5/h`; a whole number is per second.

    Raises:
        ValueError: It is none.
    """
    text = f"{text}/s" if isinstance(text, int) and not isinstance(text, bool) else text
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(
            "expected a text such as '100/s', '10/m' or '5/h', with a whole number from 1 to 999999"
        )
    return Rate(int(found[1]), _PERIODS[found[2]])
