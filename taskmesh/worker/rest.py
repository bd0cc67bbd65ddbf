"""How long a worker leaves one of several nodes alone: longer each time it does not answer, a little if it is slow."""

from __future__ import annotations

from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused
from taskmesh.nodes.link import Link
from taskmesh.queue.turn import once

#: How long one of several nodes may take to answer.
MOMENT_S = 0.5
#: How long one that was away may take to show that it is there.
BLINK_S = 0.05
#: After the first time.
AWAY_S_MIN = 0.1
#: And at most.
AWAY_S_MAX = 2.0
#: An answer that takes longer is slow: the others are asked for a while instead, so long as this many times as it took.
SLOW_S = 0.05
SLOW_TIMES = 4.0


class Rest:
    """When one node is to be asked again. Moments are on the monotonic clock.

    Attributes:
        until_s: Until then it is left alone.
        misses: How often in a row it has not answered.
    """

    __slots__ = ("misses", "until_s")

    def __init__(self) -> None:
        """Begin with a node that can be asked."""
        self.until_s = 0.0
        self.misses = 0

    def answered(self, took_s: float, now_s: float) -> None:
        """Take in that it has answered.

        Args:
            took_s: How long that took.
            now_s: Now.
        """
        self.misses = 0
        self.until_s = now_s + SLOW_TIMES * took_s if took_s > SLOW_S else 0.0

    def missed(self, now_s: float) -> None:
        """Take in that it has not answered in time, or not as one that can be used."""
        self.until_s = now_s + min(AWAY_S_MAX, AWAY_S_MIN * 2 ** min(self.misses, 10))
        self.misses += 1


def is_there(link: Link) -> bool:
    """Tell whether a node that was away answers again; it gets but a blink for that."""
    reply = link.run(once(Call(None, link.prefix, (b"PING",))), within_s=BLINK_S)
    return not isinstance(reply, (Refused, NoAnswer, NodeError))
