"""The register of the leader: who may change it, and what leases allow."""

from __future__ import annotations

import msgspec
import pytest

from taskmesh.consensus.registers import Keep, Refuse, Versioned, Write
from taskmesh.coordination.leader import (
    ACT_S,
    CHALLENGE_S,
    CHANGES_MAX,
    Candidate,
    Leader,
    Mark,
    Tenure,
    Watch,
    bid,
    least_token,
    renew,
    resign,
    unpack_leader,
)
from taskmesh.coordination.token import GENERATION_BITS
from taskmesh.errors import LeadershipLost, Malformed, NewerFormat

ANN = Candidate("a" * 16, "ann", "host:1")
BOB = Candidate("b" * 16, "bob", "host:2")
NOBODY = Leader().mark


def _elected(candidate: Candidate, content: bytes | None = None, token_min: int = 1) -> Write:
    seen = unpack_leader(content).mark
    verdict = bid(candidate, seen, token_min=token_min, now_ms=1000)(Versioned(1, content))
    assert isinstance(verdict, Write)
    return verdict


def test_a_bid_takes_the_lead_with_the_next_token() -> None:
    """Of a register that was never written, and of one that another has left."""
    first = _elected(ANN)
    assert first.answer == b"1"
    gone = resign(ANN, 1, 2000)(Versioned(1, first.content))
    assert isinstance(gone, Write)
    second = _elected(BOB, gone.content)
    assert second.answer == b"2"
    leader = unpack_leader(second.content)
    assert (leader.holder, leader.name, leader.token, leader.renewals) == (BOB.id, "bob", 2, 0)
    assert [(each.token, each.name, each.what) for each in leader.changes] == [
        (1, "ann", "elected"),
        (1, "ann", "resigned"),
        (2, "bob", "elected"),
    ]


def test_a_bid_counts_only_if_nothing_has_changed_since_it_was_decided() -> None:
    """The holder renewed, or another was faster: the candidate gets nothing."""
    first = _elected(ANN)
    seen = unpack_leader(first.content).mark
    renewed = renew(ANN, 1, {}, 2000)(Versioned(1, first.content))
    assert isinstance(renewed, Write)
    assert isinstance(bid(BOB, seen, now_ms=1)(Versioned(2, renewed.content)), Keep)
    assert isinstance(bid(BOB, NOBODY, now_ms=1)(Versioned(2, renewed.content)), Keep)


def test_tokens_of_a_node_that_was_started_anew_are_above_all_before() -> None:
    """What an embedded node forgot, or registers that were lost, can have named no greater one."""
    first = 3 << GENERATION_BITS
    assert least_token(3, 7) == first
    assert least_token(3, first + 7) == first + 8
    assert least_token(0, 0) == 1
    assert _elected(ANN, token_min=first).answer == b"%d" % first
    assert _elected(BOB, _elected(ANN, token_min=first).content, token_min=first).answer == b"%d" % (
        first + 1
    )


def test_who_was_replaced_cannot_renew_and_resigns_to_no_effect() -> None:
    """It hears that it lost the lead; the other's stays."""
    second = _elected(BOB, _elected(ANN).content)
    refused = renew(ANN, 1, {}, 2000)(Versioned(2, second.content))
    assert isinstance(refused, Refuse)
    assert isinstance(refused.error, LeadershipLost)
    assert "bob leads" in str(refused.error)
    assert isinstance(resign(ANN, 1, 1)(Versioned(2, second.content)), Keep)


def test_witnesses_only_grow_and_outlast_the_holder() -> None:
    """A count that went back says that an acceptor forgot: it must not be believed."""
    content = _elected(ANN).content
    for counts in ({"x": 5, "y": 7}, {"x": 3, "z": 1}):
        verdict = renew(ANN, 1, counts, 2000)(Versioned(1, content))
        assert isinstance(verdict, Write)
        content = verdict.content
    assert unpack_leader(content).witnesses == {"x": 5, "y": 7, "z": 1}
    assert unpack_leader(content).renewals == 2
    assert unpack_leader(_elected(BOB, content).content).witnesses == {"x": 5, "y": 7, "z": 1}


def test_the_last_handovers_are_kept() -> None:
    """Not more, or the register would grow for ever."""
    content: bytes | None = None
    for _ in range(20):
        content = _elected(ANN, content).content
    assert [each.token for each in unpack_leader(content).changes] == list(range(21 - CHANGES_MAX, 21))


def test_a_tenure_lasts_from_before_the_renewal_was_sent() -> None:
    """And not at all before the first was agreed upon."""
    tenure = Tenure(1)
    assert not tenure.holds(0.0)
    tenure.renewed(100.0)
    assert tenure.holds(100.0 + ACT_S - 0.001)
    assert not tenure.holds(100.0 + ACT_S)


def test_a_challenger_waits_for_longer_than_any_holder_acts() -> None:
    """Also when its clock is the fastest that counts, and the holder's the slowest."""
    assert CHALLENGE_S / 1.005 > ACT_S / 0.995
    watch = Watch()
    assert not watch.may_bid(0.0)
    watch.saw(Mark(1, ANN.id, 4), 10.0)
    watch.saw(Mark(1, ANN.id, 4), 12.0)
    assert not watch.may_bid(10.0 + CHALLENGE_S - 0.001)
    assert watch.may_bid(10.0 + CHALLENGE_S)
    watch.saw(Mark(1, ANN.id, 5), 16.0)
    assert not watch.may_bid(10.0 + CHALLENGE_S)
    watch.saw(Mark(1, "", 0), 17.0)
    assert watch.may_bid(17.0)


def test_what_cannot_be_read_is_an_error() -> None:
    """A newer format is told apart from rubbish."""
    with pytest.raises(Malformed, match="cannot be read"):
        unpack_leader(b"\xc1")
    with pytest.raises(NewerFormat, match="upgrade"):
        unpack_leader(msgspec.msgpack.encode({"format": 9, "token": 1}))
    assert unpack_leader(msgspec.msgpack.encode({"token": 3, "later": [1]})).token == 3
