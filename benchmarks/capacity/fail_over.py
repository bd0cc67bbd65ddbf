"""How long the slots of a lost node stand still: its steps, each by what it costs, and the first by chance as well."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from benchmarks.capacity import costs as known
from benchmarks.capacity.costs import Costs
from benchmarks.harness.figures import percentile

DEATHS = 1000


@dataclass(frozen=True, slots=True)
class FailOver:
    """Seconds of each step; a node dies at a thousand moments, and `_p99` is of those.

    Attributes:
        detect_p50_s: Until two observers have missed it, and the leader has heard so.
        detect_p99_s: The same.
        fence_s: Two agreed changes, and a word to each other node.
        compare_s: Digests and the newest copies of its slots.
        copy_s: What stood on too few nodes, to a second one.
        rebuild_s: The lines of the slots it led, on their new primaries, side by side.
        spread_s: Until everybody knows the new view.
    """

    detect_p50_s: float
    detect_p99_s: float
    fence_s: float
    compare_s: float
    copy_s: float
    rebuild_s: float
    spread_s: float

    @property
    def work_s(self) -> float:
        """What comes after the detection."""
        return self.fence_s + self.compare_s + self.copy_s + self.rebuild_s + self.spread_s

    @property
    def worst_s(self) -> float:
        """All of it, of one death in a hundred."""
        return self.detect_p99_s + self.work_s


def fail_over(
    nodes: int, slots: int, leads: int, keeps: int, costs: Costs, spread_s: float, random: Random
) -> FailOver:
    """Return the steps of a fail-over.

    Args:
        nodes: How many there were.
        slots: Of the mesh.
        leads: Slots that the lost node led.
        keeps: Slots of which it kept a copy.
        costs: Of single operations.
        spread_s: How long a new view takes to be everywhere.
        random: When the node dies.
    """
    detected = sorted(_detect_s(random) for _ in range(DEATHS))
    per_slot = known.MESSAGES_PER_NODE * nodes / slots
    others = max(1, nodes - 1)
    # who takes over does so for a few slots each: the work is side by side, but no finer than a slot
    slots_each = max(1.0, leads / others)
    kept_each = max(1.0, keeps / others)
    uneven = keeps * per_slot * known.UNEVEN_SHARE
    record_bytes = costs.message_bytes + known.PAYLOAD_BYTES
    return FailOver(
        detect_p50_s=percentile(detected, 50),
        detect_p99_s=percentile(detected, 99),
        fence_s=2 * (costs.agreed_s + 2 * known.ROUND_TRIP_S) + others * costs.call_s + known.ROUND_TRIP_S,
        compare_s=2 * kept_each * per_slot * known.COMPARE_PART * costs.send_us / 1e6
        + keeps * costs.call_s
        + known.ROUND_TRIP_S,
        copy_s=uneven * record_bytes / known.NETWORK_BYTES_PER_S
        + uneven * costs.call_s / known.COPIES_AT_ONCE,
        rebuild_s=slots_each * per_slot * known.PROMOTE_TIMES * costs.send_us / 1e6 + leads * costs.call_s,
        spread_s=spread_s,
    )


def _detect_s(random: Random) -> float:
    """Return after how long two have missed the node, and the leader, who looks now and then, knows of both.

    What each heard last was up to one look before the death.
    """
    missed = [
        known.SILENT_S - random.uniform(0, known.LOOK_S) + random.uniform(0, known.LOOK_S)
        for _ in range(known.OBSERVERS)
    ]
    return max(missed) + random.uniform(0, known.LOOK_S)
