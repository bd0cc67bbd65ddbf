"""A pickle bomb written straight into the node never goes off in a caller, and a tampered result is named."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from taskmesh.errors import (
    BadSignature,
    Malformed,
    ResultExpired,
    TaskNotFound,
    TrustError,
    UnknownKey,
)
from tests.apps import trust_bomb
from tests.support import wait_until
from tests.trust.forging import BOMB, STRANGER, Forger

pytestmark = [pytest.mark.slow, pytest.mark.needs_server]


class Watch:
    """Which classes of the bomb's module this process looked up; an audit hook cannot be removed."""

    def __init__(self) -> None:
        self.events: list[str] | None = None
        sys.addaudithook(self.note)

    def note(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.events is not None and event == "pickle.find_class" and "trust_bomb" in str(arguments[0]):
            self.events.append(f"{arguments[0]}.{arguments[1]}")

    @contextmanager
    def on(self) -> Iterator[list[str]]:
        self.events = events = []
        try:
            yield events
        finally:
            self.events = None


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


def finished(forger: Forger, count: int):
    """Return messages that a worker has run, which this process has not heard of yet."""
    sent = [forger.send(f"value {at}") for at in range(count)]
    wait_until(lambda: all(forger.record(handle).outcome for handle in sent), what="all have ended")
    return sent


def test_the_watch_sees_what_an_honest_result_brings(forger: Forger, watch: Watch) -> None:
    forger.worker()
    with watch.on() as events:
        assert forger.send(trust_bomb.Parcel()).get(90) == trust_bomb.Parcel()
    assert events == ["tests.apps.trust_bomb.Parcel"]


@pytest.mark.parametrize("how", ["the handle of the sender", "a handle by id"])
def test_results_replaced(forger: Forger, watch: Watch, how: str) -> None:
    """Whoever asks gets a `TrustError` that names the task, each time, and the others get their values."""
    forger.worker()
    sent = finished(forger, 9)
    honest = sent.pop()
    own = [forger.record(handle).outcome for handle in sent]
    forgeries = [
        (BOMB, Malformed),
        (own[1][:30], Malformed),
        (own[2][:41] + BOMB, BadSignature),
        (forger.forged_outcome(sent[3], STRANGER), UnknownKey),
        (own[0], Malformed),
        (own[5][:-1] + bytes([own[5][-1] ^ 1]), BadSignature),
        (forger.scene.mesh.link.messages.sign(own[6][41:]), BadSignature),
        (b"\x09" + own[7][1:], TrustError),
    ]
    for handle, (outcome, _) in zip(sent, forgeries, strict=True):
        forger.replace_outcome(handle, outcome)
    if how == "a handle by id":
        sent = [forger.scene.mesh.result(handle.id) for handle in sent]
    with watch.on() as events:
        for handle, (_, kind) in zip(sent, forgeries, strict=True):
            for _ in range(2):
                with pytest.raises(kind, match=handle.id):
                    handle.get(90)
        with pytest.raises(TrustError, match=sent[0].id):
            _ = sent[0].state
    assert events == []
    assert honest.get(90) == "value 8"


def test_heads_of_results_changed(forger: Forger, watch: Watch) -> None:
    """What a head says is not signed: it may hide a result, or contradict it by name, and never forge one."""
    forger.worker()
    sent = finished(forger, 109)
    honest = sent.pop()
    for at, handle in enumerate(sent):
        raw = bytearray(forger.node.get(forger.key(handle)))
        raw[at] = ord("F") if at == 1 else ord("z")
        forger.node.set(forger.key(handle), bytes(raw))
    refused = 0
    with watch.on() as events:
        for at, handle in enumerate(sent):
            try:
                assert handle.get(90) == f"value {at}", "an outcome that a head can change"
            except TrustError as error:
                assert handle.id in str(error)  # noqa: PT017 - one of two endings, each right
                refused += 1
        with pytest.raises(TrustError, match="says FAILURE, its signed outcome says SUCCESS"):
            sent[1].get(90)
    assert refused > 50
    assert events == []
    assert honest.get(90) == "value 108"


def test_results_removed(forger: Forger) -> None:
    """That cannot be told from an end long ago, and is said as such."""
    forger.worker()
    gone, emptied = finished(forger, 2)
    forger.node.delete(forger.key(gone))
    forger.replace_outcome(emptied, b"")
    with pytest.raises((ResultExpired, TaskNotFound), match=gone.id):
        gone.get(90)
    with pytest.raises((ResultExpired, TaskNotFound), match=emptied.id):
        emptied.get(90)


def test_notices_forged(forger: Forger, watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    """Anybody may publish on a client's channel; a waiting caller goes on waiting, and gets the real result."""
    scene = forger.scene
    handle = forger.send("honest")
    waiting = forger.record(handle)
    channel = f"{scene.prefix}n:{waiting.channel.decode()}"
    outcomes: list[object] = []
    thread = threading.Thread(target=lambda: outcomes.append(handle.get(300)))
    with watch.on() as events:
        thread.start()
        wait_until(lambda: forger.node.pubsub_numsub(channel)[0][1] == 1, what="it listens")
        forged = forger.forged_outcome(handle, STRANGER)
        for payload in (
            BOMB,
            b"",
            b"00000004",
            b"zzzzzzzz" + BOMB,
            b"ffffffff" + BOMB,
            b"%08x" % len(BOMB) + BOMB,
            b"%08x" % len(forged) + forged,
            b"%08x" % len(waiting.envelope) + waiting.envelope,
        ):
            assert forger.node.publish(channel, payload) == 1
        wait_until(lambda: sum("was refused" in text for text in caplog.messages) >= 6)
        assert thread.is_alive()
        assert outcomes == []
        forger.worker()
        thread.join(300)
    assert outcomes == ["honest"]
    assert events == []


def test_a_result_that_was_heard_cannot_be_changed_afterwards(forger: Forger) -> None:
    """What this process has verified is what it returns, whatever happens to the node."""
    forger.worker()
    handle = forger.send("honest")
    assert handle.get(90) == "honest"
    forger.replace_outcome(handle, BOMB)
    assert handle.get(90) == "honest"


def test_dead_letters_forged(forger: Forger) -> None:
    """Neither can a forger have a message given up: the reason that callers are told is signed."""
    handle = forger.send("honest")
    forged = forger.forged_outcome(handle, STRANGER, state="DEAD", value=None, reason="because I say so")
    raw = bytearray(forger.node.get(forger.key(handle)))
    raw[1] = ord("D")
    forger.node.set(forger.key(handle), bytes(raw))
    forger.replace_outcome(handle, forged)
    with pytest.raises(UnknownKey, match=handle.id):
        handle.get(90)


def test_a_forger_may_know_the_program(forger: Forger) -> None:
    """The bomb is real: with the mesh's own key it would go off, and did so here."""
    assert forger.audit.events() == []
    import pickle

    with pytest.MonkeyPatch.context() as patch:
        for name, value in forger.audit.env.items():
            patch.setenv(name, value)
        pickle.loads(BOMB)
    assert forger.audit.events() == ["it exploded"]
