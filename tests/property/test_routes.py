"""Split by node, run and merged, every call gives what the whole of it gives on one node."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given

from taskmesh.core import keys
from taskmesh.core.steps import Pause
from taskmesh.errors import NodeUnavailable
from taskmesh.queue.claim import claim
from taskmesh.queue.commit import RELEASED, commit, retried
from taskmesh.queue.enqueue import NewMessage, enqueue
from taskmesh.queue.manage import revoke
from taskmesh.queue.telling import is_revoked, note_telling
from taskmesh.replication.routes import Pinned, route
from taskmesh.replication.view import Member, View
from taskmesh.results.read import forget, read, read_some
from taskmesh.results.tellings import tellings
from tests.property.routed_mesh import BEGIN_MS, PREFIX, ManyNodes
from tests.property.routed_scene import FUNCTIONS, HOLDER, QUEUES, SLOTS, Both, few, message, seeds, views


@few
@given(views(), seeds)
def test_what_is_sent_is_accepted_known_or_turned_away_alike(view, seed):
    both = Both(view, seed)
    both.send(12)
    both.send(4)
    again = both.random.sample(both.sent, 8)
    both.enqueue(again)
    both.check()


@few
@given(views(), seeds)
def test_runs_end_alike(view, seed):
    both = Both(view, seed)
    both.send(16)
    tokens = both.claim()
    entries: list[bytes] = []
    for task_id, token in tokens.items():
        letter, outcome = both.random.choice(
            [
                (b"K", b"value"),
                (b"F", b"error"),
                (RELEASED, b""),
                (b"Y", retried(BEGIN_MS + 5000, b"history")),
            ]
        )
        wrong = both.random.random() < 0.2
        entries += (task_id.encode(), b"0" * 50 if wrong else token, letter, outcome)
    for _ in range(2):  # a repeat is told apart
        both.same(lambda session: commit(session, HOLDER, b"build", [], entries))
    both.check()
    both.same(forget, both.ids)
    both.check()


@few
@given(views(), seeds)
def test_messages_that_run_are_told_of_alike(view, seed):
    both = Both(view, seed)
    both.send(10)
    tokens = both.claim()
    for task_id, token in tokens.items():
        if both.random.random() < 0.5:
            both.same(
                lambda session, *of: note_telling(session, of[0], of[1], b"told"), task_id, token.decode()
            )
        both.same(is_revoked, task_id, token.decode())
    both.same(tellings, both.ids)


@few
@given(views(), seeds)
def test_messages_are_revoked_alike(view, seed):
    both = Both(view, seed)
    both.send(12)
    both.claim()
    entries = [
        (task_id.encode(), both.random.choice([b"", b"", b"00000001"]), b"outcome") for task_id in both.ids
    ]
    for _ in range(2):
        both.same(revoke, entries)
    both.check()


def test_what_is_one_nodes_own_must_name_it():
    many = ManyNodes(View(1, "active", 1, 1, (Member("n1", "a", "b", "c"),), (("n1",),)))
    with pytest.raises(Pinned, match=r"queue.claim is about one node's own things.*link.at\(node\)"):
        many.run(claim(many.session, HOLDER, 1, 10, QUEUES, idle=False))
    with pytest.raises(Pinned, match="names 1 claims that are done with"):
        many.run(commit(many.session, HOLDER, b"build", [(1, b"0" * 12)], []))


TWO = tuple(Member(name, f"redis://{name}", f"instance {name}", f"run of {name}") for name in ("n1", "n2"))


class Halves:
    """Two nodes that lead half of the slots each, and a message for each of them."""

    def __init__(self) -> None:
        table = tuple((("n1" if slot < SLOTS / 2 else "n2"),) for slot in range(SLOTS))
        self.many = ManyNodes(View(1, "active", SLOTS, 1, TWO, table))
        random = Random(1)
        drawn = [message(random, number, keys=None) for number in range(20)]
        self.first = next(each for each in drawn if int(each.slot, 16) < SLOTS / 2)
        self.second = next(each for each in drawn if int(each.slot, 16) >= SLOTS / 2)
        self.ids = [self.second.task_id.decode(), self.first.task_id.decode()]

    def send(self, **given: Any) -> Any:
        """Send both messages in one call."""
        return self.many.run(
            enqueue(self.many.session, [self.second, self.first], FUNCTIONS, patience_s=1.0, **given)
        )


def test_what_one_node_accepts_is_not_rejected_because_another_is_full():
    halves = Halves()
    halves.many.nodes["n2"].set_memory_full(full=True)
    sent = halves.send()
    assert sent.accepted == [halves.first.task_id.decode()]
    assert list(sent.rejected) == [halves.second.task_id.decode()]
    assert sent.full


def test_what_one_node_accepts_is_not_unknown_because_another_is_away():
    halves = Halves()
    halves.many.nodes["n2"].running = False
    sent = halves.send()
    assert sent.accepted == [halves.first.task_id.decode()]
    assert list(sent.unknown) == [halves.second.task_id.decode()]
    assert sent.resent == {halves.second.task_id.decode()}


def test_a_function_is_sent_again_only_with_messages_of_nodes_that_lack_it():
    halves = Halves()
    halves.first.function = halves.second.function = next(iter(FUNCTIONS))
    halves.send()
    key = keys.function(PREFIX, next(iter(FUNCTIONS)).decode())
    assert all(node.call((b"GET", key)) == b"function 1" for node in halves.many.nodes.values())
    assert not halves.send().rejected


def test_a_commit_of_which_a_part_got_no_answer_is_repeated_as_a_whole():
    halves = Halves()
    halves.send()
    halves.many.nodes["n2"].running = False
    entries = [word for task_id in halves.ids for word in (task_id.encode(), b"0" * 50, b"K", b"")]
    with pytest.raises(NodeUnavailable) as raised:
        halves.many.run(commit(halves.many.session, HOLDER, b"build", [], entries, patience_s=1.0))
    assert raised.value.may_be_done


def test_a_function_goes_once_to_each_node_that_gets_its_messages():
    halves = Halves()

    def group(each: NewMessage, blob: bytes) -> tuple[bytes, ...]:
        return each.slot, b"mail", b"4", b"", b"", b"hash", blob, b"1", each.task_id, each.record

    args = group(halves.first, b"blob") + group(halves.first, b"") + group(halves.second, b"")
    routed = route("queue.enqueue", halves.many.view, args)
    assert [(node, words[6::10]) for node, words in routed.calls] == [
        ("n1", (b"blob", b"")),
        ("n2", (b"blob",)),
    ]


def test_what_can_be_read_is_read_though_a_node_is_away():
    halves = Halves()
    halves.send()
    ids = [*halves.ids, "nobody"]
    second, first = halves.ids
    both = halves.many.run(read(halves.many.session, halves.ids))
    halves.many.nodes["n2"].running = False
    found = dict(zip(ids, halves.many.run(read_some(halves.many.session, ids)), strict=True))
    assert found[first] == both[1]
    assert isinstance(found[second], NodeUnavailable)
    with pytest.raises(NodeUnavailable):
        halves.many.run(read(halves.many.session, ids, patience_s=1.0))
    with pytest.raises(NodeUnavailable):
        halves.many.run(read_some(halves.many.session, [second], patience_s=1.0))


def test_what_comes_back_is_read_while_there_is_patience():
    halves = Halves()
    halves.send()
    halves.many.nodes["n2"].running = False
    steps = read(halves.many.session, halves.ids, patience_s=60.0)
    replies = None
    while not isinstance(request := steps.send(replies), Pause):
        replies = [halves.many.reply(call) for call in request]
    halves.many.nodes["n2"].running = True
    found = halves.many.run(resumed(steps))
    assert found == halves.many.run(read(halves.many.session, halves.ids))
    assert None not in found


def resumed(steps: Any) -> Any:
    """Return a protocol that has yielded something, as one that begins."""
    try:
        replies = yield steps.send(None)
        while True:
            replies = yield steps.send(replies)
    except StopIteration as end:
        return end.value
