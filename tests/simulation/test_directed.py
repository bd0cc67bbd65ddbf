"""Schedules that are too rare for chance, or were found by it once: each as a scene of its own."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

import pytest

from taskmesh.core.record import Record, head_parts, parse
from taskmesh.core.state import State
from taskmesh.core.steps import Session, Steps
from taskmesh.errors import NodeFault
from taskmesh.queue.backlog import backlogs
from taskmesh.queue.claim import Claimed, claim, held, recall
from taskmesh.queue.commit import RELEASED, REQUEUED, SNOOZED, commit, retried
from taskmesh.queue.enqueue import NewMessage, Sent, enqueue
from taskmesh.queue.expire import expire
from taskmesh.queue.manage import (
    FORGOTTEN,
    HAS_IDLE,
    HAS_MESSAGES,
    IS_PAUSED,
    NOT_LISTED,
    forget_queue,
    revoke,
)
from taskmesh.queue.oldest import oldest
from taskmesh.queue.pause import pause, resume
from taskmesh.queue.workers import Serves, declare_dead, reap, register, unpark
from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.testing.simulated_network import SimulatedNetwork
from taskmesh.testing.simulated_node import SimulatedNode
from taskmesh.testing.virtual_time import VirtualTime
from tests.simulation.ledger import PREFIX

T = TypeVar("T")
QUEUES = [b"default"]
WORKER, OTHER = b"a" * 16, b"b" * 16
CHILD, SECOND = WORKER + b"000001", WORKER + b"000002"


class Scene:
    """A node with two workers, and a process that asks it without any trouble."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.node = SimulatedNode()
        self.network = SimulatedNetwork(self.time, self.node, Random(0))
        self.process = SimulatedProcess("process", self.network)
        self.session: Session = self.process.session(PREFIX, epoch=self.node.set_epoch(PREFIX))
        for incarnation in (WORKER, OTHER):
            self.ask(register(self.session, incarnation, b"{}"))

    def ask(self, steps: Steps[T]) -> T:
        """Run a protocol to its end."""
        ended: list[T] = []
        self.process.start(steps, ended.append)
        assert self.time.run(lambda: bool(ended), 60)
        return ended[0]

    def send(self, *ids: bytes) -> None:
        """Send messages, in one call, so that they stand in line whoever is idle."""
        messages = [self.message(task_id) for task_id in ids]
        assert self.ask(enqueue(self.session, messages)).accepted == [task_id.decode() for task_id in ids]

    def message(
        self, task_id: bytes, *, slot: bytes = b"0000", function: bytes = b"", priority: int = 4
    ) -> NewMessage:
        start, middle, end, names = head_parts(
            state=b"P",
            queue=b"default",
            channel=b"",
            function=function,
            priority=priority,
            flags=0,
            result_ttl_s=60,
        )
        now_ms = self.process.now_ms()
        record = start + slot + middle + b"%012x%012x" % (now_ms, 0) + end + names + b"envelope"
        return NewMessage(task_id, record, slot, b"default", now_ms, priority=priority, function=function)

    def claim(self, holder: bytes, sequence: int, most: int = 10) -> list[Claimed]:
        """Claim for a child."""
        return self.ask(claim(self.session, holder, sequence, most, QUEUES, idle=False))

    def commit(self, holder: bytes, *ended: Claimed, done: tuple[tuple[int, bytes], ...] = ()) -> bytes:
        """Commit successes."""
        entries = [
            word for one in ended for word in (one.task_id, one.token, b"K", b"outcome of " + one.task_id)
        ]
        return self.ask(commit(self.session, holder, b"build", done, entries))

    def state(self, task_id: bytes) -> State:
        """The state of a message."""
        record = self.node.call((b"GET", PREFIX + b"r:" + task_id))
        assert isinstance(record, bytes)
        return parse(record).state

    def restart(self, copied: object = None) -> None:
        """Let the node crash and come back."""
        self.node.crash()
        self.network.node_crashed()
        if copied is not None:
            self.node.restore(copied)  # type: ignore[arg-type]
        self.node.restart()
        self.node.set_epoch(PREFIX)


def test_a_claim_of_a_dead_child_that_comes_late_takes_nothing() -> None:
    """It was under way when the child died and was reaped; its worker lives on, so nobody would reap again."""
    scene = Scene()
    scene.claim(CHILD, 1)
    scene.ask(reap(scene.session, CHILD, WORKER, QUEUES))
    scene.send(b"m", b"n")
    with pytest.raises(NodeFault, match="OLDSEQUENCE"):
        scene.claim(CHILD, 2)
    assert [one.task_id for one in scene.claim(SECOND, 1)] == [b"m", b"n"]


def test_two_groups_of_one_call_share_a_function_that_the_node_lacks() -> None:
    scene = Scene()
    messages = [
        scene.message(b"m", slot=b"0001", function=b"f" * 8),
        scene.message(b"n", slot=b"0002", function=b"f" * 8),
    ]
    sent: Sent = scene.ask(enqueue(scene.session, messages, {b"f" * 8: b"blob"}))
    assert sent.accepted == ["m", "n"]
    assert scene.node.call((b"GET", PREFIX + b"fn:" + b"f" * 8)) == b"blob"
    assert scene.node.call((b"HGET", PREFIX + b"fnref", b"f" * 8)) == b"2"


def test_a_function_is_kept_when_only_the_second_group_of_a_call_is_new() -> None:
    scene = Scene()
    first, second = (
        scene.message(name, slot=slot, function=b"f" * 8) for name, slot in ((b"m", b"0001"), (b"n", b"0002"))
    )
    scene.ask(enqueue(scene.session, [first], {b"f" * 8: b"blob"}))
    scene.node.call((b"DEL", PREFIX + b"fn:" + b"f" * 8))
    scene.ask(enqueue(scene.session, [first, second], {b"f" * 8: b"blob"}))
    assert scene.node.call((b"GET", PREFIX + b"fn:" + b"f" * 8)) == b"blob"


def test_a_child_that_is_done_with_a_claim_of_another_life_keeps_the_index_of_this_one() -> None:
    """The same sequence stands for a message that was handed over since the node came back with an older disk."""
    scene = Scene()
    scene.claim(CHILD, 1)
    copied = scene.node.snapshot()
    scene.send(b"m", b"n")
    claimed = scene.claim(CHILD, 2)
    scene.restart(copied)
    scene.ask(enqueue(scene.session, [scene.message(b"handed")]))
    assert scene.state(b"handed") is State.STARTED
    assert scene.commit(CHILD, *claimed, done=((2, claimed[0].epoch),)) == b"zz"
    assert [row[2] for row in scene.ask(held(scene.session, CHILD))] == ["handed"]


def test_a_commit_that_an_older_disk_undid_leaves_the_message_with_its_holder() -> None:
    """The first of the claim was committed before the disk was copied, the second after: it runs again by its index."""
    scene = Scene()
    scene.send(b"m", b"n")
    first, second = scene.claim(CHILD, 1)
    assert scene.commit(CHILD, first) == b"o"
    copied = scene.node.snapshot()
    assert scene.commit(CHILD, second) == b"o"
    scene.restart(copied)
    assert scene.commit(CHILD, done=((1, second.epoch),)) == b""
    assert [row[2] for row in scene.ask(held(scene.session, CHILD))] == ["n"]
    assert scene.ask(recall(scene.session, CHILD, 1, 0)) == 1
    assert scene.state(b"n") is State.PENDING


def test_the_commit_of_a_worker_that_was_declared_dead_is_refused() -> None:
    scene = Scene()
    scene.send(b"m", b"n")
    zombie = scene.claim(CHILD, 1)
    assert scene.ask(declare_dead(scene.session, WORKER, 1))
    scene.ask(reap(scene.session, CHILD, OTHER, QUEUES))
    heirs = scene.claim(OTHER + b"000001", 1)
    assert scene.commit(CHILD, *zombie) == b"zz"
    assert scene.commit(OTHER + b"000001", *heirs) == b"oo"
    assert scene.commit(CHILD, *zombie) == b"zz"


def test_an_outcome_counts_beside_the_release_of_an_earlier_claim() -> None:
    """Supervisor and child both give a message back, and the child claims it anew: both entries may leave together."""
    scene = Scene()
    scene.send(b"m")
    (before,) = scene.claim(CHILD, 1)
    assert scene.ask(recall(scene.session, CHILD, 1, 0)) == 1
    (now,) = scene.claim(CHILD, 2)
    released = [before.task_id, before.token, RELEASED, b""]
    ended = [now.task_id, now.token, b"K", b"its outcome"]
    assert scene.ask(commit(scene.session, CHILD, b"build", (), [*released, *ended])) == b"zo"
    assert scene.state(b"m") is State.SUCCESS
    assert scene.ask(commit(scene.session, CHILD, b"build", (), [*ended, *released, *ended])) == b"rzr"


def test_a_message_handed_over_is_claimed_when_its_wake_up_is_lost() -> None:
    scene = Scene()
    assert scene.claim(CHILD, 1) == []
    scene.ask(enqueue(scene.session, [scene.message(b"m")]))
    scene.node.call((b"DEL", PREFIX + b"wake:" + CHILD))
    (claimed,) = scene.claim(CHILD, 2)
    assert scene.commit(CHILD, claimed, done=((2, claimed.epoch),)) == b"o"


def test_who_waits_for_a_paused_queue_is_woken_when_it_goes_on_and_not_before() -> None:
    """Two children: one was idle before the pause, the other looked for work during it."""
    scene = Scene()
    assert scene.claim(CHILD, 1) == []
    assert scene.ask(pause(scene.session, "default"))
    assert not scene.ask(pause(scene.session, "default"))
    scene.ask(enqueue(scene.session, [scene.message(b"m")]))
    assert scene.claim(SECOND, 1) == []
    assert scene.state(b"m") is State.PENDING
    for child in (CHILD, SECOND):
        assert not scene.node.call((b"EXISTS", PREFIX + b"wake:" + child))
    assert scene.ask(resume(scene.session, "default"))
    for child in (CHILD, SECOND):
        assert scene.node.call((b"LRANGE", PREFIX + b"wake:" + child, b"0", b"-1")) == [b"1"]
    (claimed,) = scene.claim(SECOND, 2)
    assert scene.commit(SECOND, claimed) == b"o"


def test_a_dead_child_is_forgotten_by_the_queue_that_it_waited_for() -> None:
    scene = Scene()
    scene.ask(pause(scene.session, "default"))
    assert scene.claim(CHILD, 1) == []
    scene.ask(reap(scene.session, CHILD, WORKER, QUEUES))
    scene.ask(resume(scene.session, "default"))
    assert not scene.node.call((b"EXISTS", PREFIX + b"wake:" + CHILD))


def again(scene: Scene, holder: bytes, claimed: Claimed, letter: bytes, told: bytes) -> bytes:
    """Have one message run again."""
    return scene.ask(
        commit(scene.session, holder, b"build", (), [claimed.task_id, claimed.token, letter, told])
    )


def record(scene: Scene, task_id: bytes) -> Record:
    raw = scene.node.call((b"GET", PREFIX + b"r:" + task_id))
    assert isinstance(raw, bytes)
    return parse(raw)


@pytest.mark.parametrize("letter", [b"Y", SNOOZED])
@pytest.mark.parametrize(("after_ms", "wakes"), [(300, True), (60_000, False)])
def test_what_is_due_soon_wakes_an_idle_child(letter: bytes, after_ms: int, wakes: bool) -> None:
    """The one that ran it may be busy by then, and the idle one would look a second later."""
    scene = Scene()
    scene.send(b"m")
    (claimed,) = scene.claim(CHILD, 1)
    assert scene.claim(SECOND, 1) == []
    due_ms = scene.process.now_ms() + after_ms
    told = retried(due_ms, b"history") if letter == b"Y" else b"%d" % due_ms
    assert again(scene, CHILD, claimed, letter, told) == b"o"
    assert (scene.node.call((b"LLEN", PREFIX + b"wake:" + SECOND)) == 1) is wakes
    found = record(scene, b"m")
    assert (found.state, found.moment_ms) == (State.RETRY if letter == b"Y" else State.SCHEDULED, due_ms)


def test_a_message_that_is_due_soon_wakes_an_idle_child_when_it_is_sent() -> None:
    scene = Scene()
    assert scene.claim(CHILD, 1) == []
    message = scene.message(b"m")
    due_ms = scene.process.now_ms() + 300
    message.record = message.record.replace(b"1P", b"1S", 1)
    message.due_ms = b"%d" % due_ms
    scene.ask(enqueue(scene.session, [message]))
    assert scene.node.call((b"LLEN", PREFIX + b"wake:" + CHILD)) == 1


@pytest.mark.parametrize(
    ("letter", "told", "latest_ms"),
    [
        (SNOOZED, b"-10000000000000", 0),
        (SNOOZED, b"nan", 0),
        (SNOOZED, b"1e300", 2**47),
        (SNOOZED, b"inf", 2**47),
        # where no sign is expected Lua reads a huge number
        (b"Y", b"-00100000000" + b"00000007-00history", 2**47),
        (b"Y", b"123456.89abc" + b"00000007-00history", 0),
        (b"Y", b"ffffffffffff" + b"00000007-00history", 2**47),
    ],
)
def test_whatever_moment_is_said_the_record_stays_one(letter: bytes, told: bytes, latest_ms: int) -> None:
    scene = Scene()
    scene.send(b"m")
    (claimed,) = scene.claim(CHILD, 1)
    before_ms = scene.process.now_ms()
    assert again(scene, CHILD, claimed, letter, told) == b"o"
    found = record(scene, b"m")
    assert (latest_ms or before_ms) <= found.moment_ms <= (latest_ms or scene.process.now_ms())
    assert (found.envelope, found.queue) == (b"envelope", "default")


@pytest.mark.parametrize("letter", [b"Y", SNOOZED])
def test_a_repeated_retry_is_told_that_it_is_done(letter: bytes) -> None:
    scene = Scene()
    scene.send(b"m")
    (claimed,) = scene.claim(CHILD, 1)
    due_ms = scene.process.now_ms() + 60_000
    told = retried(due_ms, b"history") if letter == b"Y" else b"%d" % due_ms
    assert again(scene, CHILD, claimed, letter, told) == b"o"
    assert again(scene, CHILD, claimed, letter, told) == b"r"
    assert record(scene, b"m").attempt == (2 if letter == b"Y" else 1)


def test_the_history_and_the_new_arguments_of_a_retry_outlive_a_crash_and_a_recall() -> None:
    scene = Scene()
    scene.send(b"m")
    (claimed,) = scene.claim(CHILD, 1)
    now_ms = scene.process.now_ms()
    again(scene, CHILD, claimed, b"Y", retried(now_ms, b"history", b"other envelope"))
    (claimed,) = scene.claim(CHILD, 2)
    scene.ask(recall(scene.session, CHILD, 2, 0))
    (claimed,) = scene.claim(CHILD, 3)
    scene.ask(reap(scene.session, CHILD, WORKER, QUEUES))
    (claimed,) = scene.claim(SECOND, 1)
    found = parse(claimed.record)
    assert (found.outcome, found.envelope, found.attempt) == (b"history", b"other envelope", 2)
    again(scene, SECOND, claimed, b"Y", retried(now_ms, b"longer history"))
    found = record(scene, b"m")
    assert (found.outcome, found.envelope, found.attempt) == (b"longer history", b"other envelope", 3)


def test_a_retry_may_go_to_another_queue_with_another_priority() -> None:
    scene = Scene()
    scene.send(b"m")
    (claimed,) = scene.claim(CHILD, 1)
    # idle where it goes to: it is due at once, and wakes
    asked = claim(scene.session, SECOND, 1, 10, [b"elsewhere"], idle=False)
    assert not [one for one in scene.ask(asked) if isinstance(one, Claimed)]
    now_ms = scene.process.now_ms()
    told = retried(now_ms, b"history", b"other envelope", queue="elsewhere", priority=9)
    assert again(scene, CHILD, claimed, b"Y", told) == b"o"
    assert scene.node.call((b"EXISTS", PREFIX + b"wake:" + SECOND))
    assert scene.node.call((b"SISMEMBER", PREFIX + b"queues", b"elsewhere")) == 1
    found = record(scene, b"m")
    assert (found.queue, found.priority, found.attempt) == ("elsewhere", 9, 2)
    assert (found.outcome, found.envelope) == (b"history", b"other envelope")
    assert scene.claim(CHILD, 2) == []
    (claimed,) = (
        one
        for one in scene.ask(claim(scene.session, SECOND, 2, 10, [b"elsewhere"], idle=True))
        if isinstance(one, Claimed)
    )
    again(scene, SECOND, claimed, b"Y", retried(now_ms, b"longer history"))
    found = record(scene, b"m")
    assert (found.queue, found.priority) == ("elsewhere", 9)
    assert (found.outcome, found.envelope) == (b"longer history", b"other envelope")


def test_what_goes_back_in_line_lists_its_queue_again() -> None:
    scene = Scene()
    queues = PREFIX + b"queues"

    def forgets() -> bytes:
        return scene.ask(forget_queue(scene.session, "default"))

    scene.send(b"m")
    assert forgets() == HAS_MESSAGES
    (claimed,) = scene.claim(CHILD, 1)
    assert forgets() == FORGOTTEN
    assert forgets() == NOT_LISTED
    # parked, and back since another build asks
    parked = [claimed.task_id, claimed.token, b"S", b"%d" % (scene.process.now_ms() + 60_000)]
    scene.ask(commit(scene.session, CHILD, b"old build", (), parked))
    assert not scene.node.call((b"EXISTS", queues))
    scene.ask(unpark(scene.session, Serves("new build", ["default"]), WORKER))
    assert scene.node.call((b"SISMEMBER", queues, b"default")) == 1
    # put off, and back when it is due
    (claimed,) = scene.claim(CHILD, 2)
    again(scene, CHILD, claimed, SNOOZED, b"%d" % (scene.process.now_ms() + 1000))
    assert forgets() == FORGOTTEN
    scene.time.pass_by(2)
    assert scene.claim(CHILD, 3)
    assert scene.node.call((b"SISMEMBER", queues, b"default")) == 1


def test_what_ends_at_an_end_of_its_line_stands_in_it_no_more() -> None:
    scene = Scene()
    scene.ask(enqueue(scene.session, [scene.message(b"urgent", priority=9)]))
    scene.time.pass_by(1)
    sent_ms = scene.process.now_ms()
    scene.send(b"a", b"b", b"c", b"d")

    def ends(*ids: bytes, by: Callable[..., Steps[Any]] = revoke) -> int:
        versions = [scene.node.call((b"GETRANGE", PREFIX + b"r:" + task_id, b"2", b"9")) for task_id in ids]
        scene.ask(by(scene.session, [(i, v, b"why") for i, v in zip(ids, versions, strict=True)]))
        (ready,) = scene.ask(backlogs(scene.session, ["default"])).values()
        return ready[0]

    def since_ms() -> int:
        return scene.ask(oldest(scene.session, ["default"]))["default"]

    assert since_ms() < sent_ms
    # between others it stays, since nobody goes through the line
    assert ends(b"b") == 5
    assert ends(b"urgent", by=expire) == 4
    assert since_ms() >= sent_ms
    assert ends(b"a") == 2
    assert ends(b"d", by=expire) == 1
    assert scene.ask(forget_queue(scene.session, "default")) == HAS_MESSAGES
    assert ends(b"c") == 0
    assert since_ms() == 0
    assert scene.ask(forget_queue(scene.session, "default")) == FORGOTTEN


def test_what_a_claim_bares_is_no_oldest_one() -> None:
    scene = Scene()
    scene.send(b"a", b"b")
    scene.time.pass_by(1)
    later_ms = scene.process.now_ms()
    scene.send(b"c")
    scene.ask(revoke(scene.session, [(b"b", b"", b"why")]))
    assert [one.task_id for one in scene.claim(CHILD, 1, most=1)] == [b"a"]
    assert scene.node.call((b"LLEN", PREFIX + b"q:default:4")) == 2
    assert scene.ask(oldest(scene.session, ["default"]))["default"] >= later_ms


def test_a_queue_on_which_a_child_is_idle_is_not_forgotten_before_the_child_is_dead() -> None:
    scene = Scene()
    scene.send(b"m")
    scene.claim(CHILD, 1)
    assert scene.claim(SECOND, 1) == []
    assert scene.ask(forget_queue(scene.session, "default")) == HAS_IDLE
    scene.ask(pause(scene.session, "default"))
    assert scene.ask(forget_queue(scene.session, "default")) == IS_PAUSED
    scene.ask(resume(scene.session, "default"))
    assert scene.claim(SECOND, 2) == []
    scene.node.call((b"HSET", PREFIX + b"w:" + WORKER, b"state", b"dead"))
    assert scene.ask(forget_queue(scene.session, "default")) == FORGOTTEN


def test_attempts_are_counted_as_far_as_the_digits_reach() -> None:
    """The number that counts is in the signed history."""
    scene = Scene()
    scene.send(b"m")
    scene.node.call((b"SETRANGE", PREFIX + b"r:m", b"56", b"ff"))
    (claimed,) = scene.claim(CHILD, 1)
    again(scene, CHILD, claimed, b"Y", retried(0, b"history"))
    assert record(scene, b"m").attempt == 255


def test_what_is_put_back_goes_to_the_end_of_its_line() -> None:
    scene = Scene()
    scene.send(b"m", b"n")
    (claimed,) = scene.claim(CHILD, 1, most=1)
    assert again(scene, CHILD, claimed, REQUEUED, b"") == b"o"
    assert [one.task_id for one in scene.claim(CHILD, 2)] == [b"n", b"m"]
