"""Whether there is a leader, for one who looks only now and then."""

from __future__ import annotations

from taskmesh.coordination.leader import CHALLENGE_S, Handover, Leader
from taskmesh.metrics.leader_seen import LeaderSeen

NOW_MS = 1_800_000_000_000


def leader(token: int = 1, renewals: int = 0, *, holder: str = "a", renewed_ms: int = NOW_MS) -> Leader:
    changes = tuple(
        Handover(NOW_MS, number, "w", "elected") for number in range(max(1, token - 7), token + 1)
    )
    return Leader(token=token, holder=holder, renewals=renewals, changes=changes, renewed_ms=renewed_ms)


def test_a_lead_that_is_not_renewed_is_over() -> None:
    seen, first = LeaderSeen(), leader()
    seen.see(first, now_s=100.0, now_ms=NOW_MS)
    assert seen.is_up(first, now_s=100.0)
    seen.see(first, now_s=100.0 + CHALLENGE_S, now_ms=NOW_MS)
    assert not seen.is_up(first, now_s=100.0 + CHALLENGE_S)


def test_one_that_is_renewed_lasts_whatever_clocks_say() -> None:
    seen = LeaderSeen()
    for renewals in range(5):
        now_s = 100.0 + 15.0 * renewals
        renewed = leader(renewals=renewals, renewed_ms=NOW_MS - 3_600_000)
        seen.see(renewed, now_s=now_s, now_ms=NOW_MS)
        assert seen.is_up(renewed, now_s=now_s) == (renewals > 0)


def test_nobody_leads_who_has_resigned() -> None:
    seen, nobody = LeaderSeen(), leader(holder="")
    seen.see(nobody, now_s=1.0, now_ms=NOW_MS)
    assert not seen.is_up(nobody, now_s=1.0)


def test_handovers_are_counted_from_the_first_look_on() -> None:
    seen = LeaderSeen()
    for token, changes in ((5, 0), (5, 0), (6, 1), (9, 4), (30, 12)):
        seen.see(leader(token), now_s=1.0, now_ms=NOW_MS)
        assert seen.changes == changes
