"""Dead letters on a node that runs the real scripts: listed, sent again, dropped, with what refers to them."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from taskmesh.codec.envelope import Envelope, decode_envelope, encode_envelope
from taskmesh.codec.keyring import Keyring
from taskmesh.codec.outcome import Outcome, encode_outcome
from taskmesh.core import keys, record
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.core.state import State
from taskmesh.errors import NodeFault
from taskmesh.queue.claim import claim
from taskmesh.queue.commit import commit
from taskmesh.queue.dead import (
    DROPPED,
    UNKNOWN,
    dead_ids,
    dead_letters,
    dead_queues,
    drop,
    sent_again,
    whole_record,
)
from taskmesh.queue.enqueue import NewMessage, enqueue, message_keys
from taskmesh.queue.workers import register
from taskmesh.replication.accept import accept_key, refuse_key
from taskmesh.replication.join import join
from taskmesh.results.read import read
from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.testing.simulated_network import SimulatedNetwork
from taskmesh.testing.simulated_node import SimulatedNode
from taskmesh.testing.virtual_time import VirtualTime

PREFIX = keys.prefix("test")
KEYRING = Keyring.new()
MESSAGES, RESULTS = KEYRING.signer("message", "test"), KEYRING.signer("result", "test")
WORKER = b"0123456789abcdef"
HASH = "f" * 32


class Scene:
    """A mesh with one worker, whose protocols are run to their end at once."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.node = SimulatedNode()
        self.process = SimulatedProcess("p", SimulatedNetwork(self.time, self.node, Random(1)))
        self.session = self.process.session(PREFIX)
        self.sequence = 0
        self.run(join(self.session, mesh_id="m", slots=1024, key_id=KEYRING.active.name))
        self.run(register(self.session, WORKER, b"{}"))

    def run(self, steps):
        results = []
        self.process.start(steps, results.append)
        self.time.pass_by(5)
        (result,) = results
        return result

    def message(self, task_id: str, *, function: str = "") -> NewMessage:
        wire = encode_envelope(
            Envelope(task_id, "app.t", b"body", function=function, headers={"h": 1}, channel="c"), MESSAGES
        )
        start, middle, end, names = record.head_parts(
            state=b"P",
            queue=b"default",
            channel=b"c",
            function=function.encode(),
            priority=4,
            flags=record.CLAIM_SINGLY | record.AT_MOST_ONCE,
            result_ttl_s=3600,
        )
        slot = b"%04x" % slot_of(routing_of(task_id), 1024)
        now_ms = self.session.now_ms()
        raw = start + slot + middle + b"%012x%012x" % (now_ms, 0) + end + names + wire
        return NewMessage(task_id.encode(), raw, slot, b"default", now_ms, function=function.encode())

    def end(
        self,
        task_id: str,
        state: str = "DEAD",
        *,
        function: str = "",
        keys: tuple[bytes, ...] | None = None,
    ) -> None:
        """Send a message and have it end."""
        functions = {function.encode(): b"blob"} if function else {}
        message = self.message(task_id, function=function)
        message.keys = keys
        assert self.run(enqueue(self.session, [message], functions)).accepted
        self.sequence += 1
        holder = WORKER + b"000001"
        found = self.run(claim(self.session, holder, self.sequence, 1, [b"default"], idle=False))
        claimed = next(
            each for each in found if getattr(each, "task_id", task_id.encode()) == task_id.encode()
        )
        token = claimed.token if hasattr(claimed, "token") else found[1][2:52]
        outcome = encode_outcome(Outcome(task_id, state, token.decode(), reason="why"), RESULTS)
        letter = b"D" if state == "DEAD" else b"F"
        entries = [task_id.encode(), token, letter, outcome]
        assert (
            self.run(commit(self.session, holder, b"build", [(self.sequence, self.session.epoch)], entries))
            == b"o"
        )

    def value(self, *words: bytes):
        return self.node.call(words)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_dead_letters_are_listed_newest_first_with_their_records(scene):
    for number in range(45):
        scene.end(f"id-{number:02}")
    total, letters = scene.run(dead_letters(scene.session, 30))
    assert total == 45
    assert [letter.task_id for letter in letters] == [f"id-{number:02}" for number in range(44, 14, -1)]
    assert {letter.record.state for letter in letters} == {State.DEAD}
    assert decode_envelope(letters[0].record.envelope, MESSAGES, expect_id="id-44").task == "app.t"
    assert scene.run(dead_ids(scene.session)) == [f"id-{number:02}" for number in range(45)]


def test_the_queues_of_the_newest_are_told():
    scene = Scene()
    for task_id in ("first", "second", "third", "fourth"):
        scene.end(task_id)
    assert scene.run(dead_queues(scene.session, 3)) == (
        4,
        dict.fromkeys(("fourth", "third", "second"), "default"),
    )
    scene.run(drop(scene.session, ["third"]))
    scene.value(b"SET", keys.record(PREFIX, "second"), b"what anybody may have written there")
    assert scene.run(dead_queues(scene.session, 9)) == (3, dict.fromkeys(("fourth", "first"), "default"))


def test_a_dropped_letter_leaves_its_state_alone(scene):
    scene.end("gone")
    scene.end("kept")
    assert scene.run(drop(scene.session, ["gone", "never"])) == bytes([DROPPED, UNKNOWN])
    assert scene.run(drop(scene.session, ["gone"])) == b"D"
    assert scene.run(dead_ids(scene.session)) == ["kept"]
    found = scene.run(whole_record(scene.session, "gone"))
    assert (found.state, found.outcome, found.envelope) == (State.DEAD, b"", b"")
    # sending the id again is still harmless
    sent = scene.run(enqueue(scene.session, [scene.message("gone")]))
    assert sent.known == ["gone"]


def test_only_dead_letters_are_dropped(scene):
    scene.end("failed", "FAILURE")
    assert scene.run(drop(scene.session, ["failed"])) == b"F"
    (found,) = scene.run(read(scene.session, ["failed"]))
    assert found.outcome


def test_a_dropped_letter_lets_go_of_its_function(scene):
    scene.end("one", function=HASH)
    scene.end("two", function=HASH)
    assert scene.value(b"HGET", PREFIX + b"fnref", HASH.encode()) == b"2"
    scene.run(drop(scene.session, ["one"]))
    assert scene.value(b"EXISTS", keys.function(PREFIX, HASH)) == 1
    scene.run(drop(scene.session, ["one"]))  # a repeat lets go of nothing more
    assert scene.value(b"HGET", PREFIX + b"fnref", HASH.encode()) == b"1"
    scene.run(drop(scene.session, ["two"]))
    assert scene.value(b"EXISTS", keys.function(PREFIX, HASH)) == 0


def test_sent_again_it_is_a_new_message_of_the_same_call(scene):
    scene.end("old", function=HASH)
    found = scene.run(whole_record(scene.session, "old"))
    envelope = decode_envelope(found.envelope, MESSAGES, expect_id="old")
    message = sent_again(
        envelope,
        found,
        task_id="new",
        now_ms=scene.session.now_ms(),
        slots=1024,
        sender="me",
        signer=MESSAGES,
    )
    assert scene.run(enqueue(scene.session, [message])).accepted == ["new"]
    scene.run(drop(scene.session, ["old"]))
    # the function stays for the new message
    assert scene.value(b"EXISTS", keys.function(PREFIX, HASH)) == 1
    again = scene.run(whole_record(scene.session, "new"))
    assert (again.state, again.queue, again.function, again.crashes, again.attempt) == (
        State.PENDING,
        "default",
        HASH,
        0,
        1,
    )
    assert again.flags == record.AT_MOST_ONCE  # the suspicion is not passed on
    after = decode_envelope(again.envelope, MESSAGES, expect_id="new")
    assert after.extras == {"retry_of": "old"}
    same = {"id": "", "created_ms": 0, "channel": "", "sender": "", "extras": None}
    assert msgspec.structs.replace(after, **same) == msgspec.structs.replace(envelope, **same)


def in_place_of(scene: Scene, old: str, new: str, key: bytes) -> NewMessage:
    message = scene.message(new)
    message.keys = message_keys(idempotency=key, given_for=b"0" * 32, task=b"74", instead=old.encode())
    return message


def test_an_idempotency_key_leads_to_what_was_sent_in_place_of_its_message(scene):
    key = b"1" * 32
    scene.end("old", keys=message_keys(idempotency=key, given_for=b"0" * 32, task=b"74"))
    assert scene.run(enqueue(scene.session, [in_place_of(scene, "old", "new", key)])).accepted == ["new"]
    # another try has lost: it would run twice
    sent = scene.run(enqueue(scene.session, [in_place_of(scene, "old", "newer", key)]))
    assert sent.duplicates == {"newer": "new"}
    scene.run(drop(scene.session, ["old"]))
    scene.time.pass_by(700)
    for _ in range(3):
        scene.run(commit(scene.session, WORKER + b"000001", b"build", [], []))  # sweeps a little each time
    assert scene.run(whole_record(scene.session, "old")) is None
    message = scene.message("third")
    message.keys = message_keys(idempotency=key, given_for=b"0" * 32, task=b"74")
    assert scene.run(enqueue(scene.session, [message])).duplicates == {"third": "new"}


def test_keys_are_accepted_and_refused_by_those_who_hold_one(scene):
    own = KEYRING.active.name
    assert scene.run(accept_key(scene.session, "00000001", by=own)) == (own, "00000001")
    assert scene.run(accept_key(scene.session, "00000001", by=own)) == (own, "00000001")
    assert scene.run(refuse_key(scene.session, own, by="00000001")) == ("00000001",)
    for steps, said in (
        (refuse_key(scene.session, "00000001", by="00000001"), "OWNKEY"),
        (accept_key(scene.session, "00000002", by=own), "NOTACCEPTED"),
    ):
        with pytest.raises(NodeFault, match=said):
            scene.run(steps)
    assert scene.value(b"HGET", keys.meta(PREFIX), b"keys") == b"00000001"
