"""A pickle bomb written straight into the node never goes off in a worker, wherever it is put.

Nothing is unpickled or imported before its signature was verified: audit hooks in every process of the worker
say so. The reason stands in the dead letter, and the worker goes on.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskmesh.codec.functions import encode_function, seal_function
from taskmesh.codec.keyring import Key, Keyring
from tests.apps import trust_bomb, worker_trust
from tests.support import wait_until
from tests.trust.forging import BOMB, STRANGER, Forger

pytestmark = [pytest.mark.slow, pytest.mark.needs_server]


def test_the_audit_sees_what_an_honest_message_brings(forger: Forger) -> None:
    """The twin of all others: hooks that see nothing would let them pass."""
    forger.worker()
    assert forger.send(trust_bomb.Parcel()).get(90) == trust_bomb.Parcel()
    assert "pickle.find_class tests.apps.trust_bomb.Parcel" in forger.audit.events()


def test_bombs_instead_of_envelopes(forger: Forger) -> None:
    scene = forger.scene
    sent = [forger.send("honest") for _ in range(8)]
    own = [forger.record(handle).envelope for handle in sent]
    forgeries = [
        (BOMB, "Malformed", "not a signed message"),
        (b"", "Malformed", "not a signed message: 0 bytes"),
        (own[2][:20], "Malformed", "not a signed message: 20 bytes"),
        (own[3][:41] + BOMB, "BadSignature", "does not match"),
        (forger.forged_envelope(sent[4], STRANGER), "UnknownKey", STRANGER.active.name),
        (own[0], "Malformed", f"holds the envelope of {sent[0].id!r}"),
        (own[6][:-1] + bytes([own[6][-1] ^ 1]), "BadSignature", "does not match"),
        (scene.mesh.link.results.sign(own[7][41:]), "BadSignature", "was not signed as a message"),
    ]
    for handle, (envelope, *_) in zip(sent, forgeries, strict=True):
        forger.replace_envelope(handle, envelope)
    worker = forger.worker()
    for handle, (_, *words) in zip(sent, forgeries, strict=True):
        forger.assert_dead(handle, *words)
    forger.assert_goes_on(worker)


def test_what_was_refused_is_kept_for_a_person_to_look_at(forger: Forger) -> None:
    handle = forger.send("honest")
    forger.replace_envelope(handle, BOMB * 4000)
    forger.worker()
    forger.assert_dead(handle, "not a signed message")
    assert handle.outcome is not None
    assert handle.outcome.raw == (BOMB * 4000)[: 64 * 1024]


def test_a_retired_key_is_refused_by_name(make_forged: Callable[..., Forger]) -> None:
    old = Keyring(Key.of(b"o" * 32))
    ring = old.with_new_key(Key.of(b"n" * 32)).retire(old.active.id)
    forger = make_forged(key=ring.dump())
    handle = forger.send("honest")
    forger.replace_envelope(handle, forger.forged_envelope(handle, old))
    worker = forger.worker()
    forger.assert_dead(handle, "RetiredKey", old.active.name, "retired")
    forger.assert_goes_on(worker)


def test_an_accepted_key_still_counts(make_forged: Callable[..., Forger]) -> None:
    """The twin of the above: the forged message was refused for its key and nothing else."""
    old = Keyring(Key.of(b"o" * 32))
    ring = old.with_new_key(Key.of(b"n" * 32))
    forger = make_forged(key=ring.dump())
    handle = forger.send("honest")
    body = forger.scene.mesh.link.messages.verify(forger.record(handle).envelope)
    forger.replace_envelope(handle, old.signer("message", forger.scene.name).sign(body))
    forger.worker()
    assert handle.get(90) == "honest"


def test_bombs_instead_of_functions(forger: Forger) -> None:
    """Functions travel by value: their blobs are verified, and must have the hash that the envelope names."""
    mesh, node, prefix = forger.scene.mesh, forger.node, forger.scene.prefix
    functions = [lambda at=at: at for at in range(5)]
    sent = [mesh.submit(function) for function in functions]
    hashes = [forger.record(handle).function for handle in sent]
    own = node.get(f"{prefix}fn:{hashes[0]}")
    other = encode_function(lambda: 0)[1]
    node.set(f"{prefix}fn:{hashes[0]}", BOMB)
    node.set(f"{prefix}fn:{hashes[1]}", own[:41] + BOMB)
    node.set(f"{prefix}fn:{hashes[2]}", seal_function(BOMB, STRANGER.signer("function", mesh.name)))
    node.set(f"{prefix}fn:{hashes[3]}", seal_function(other, mesh.link.functions))
    node.delete(f"{prefix}fn:{hashes[4]}")
    node.rpush(f"{prefix}fn:{hashes[4]}", BOMB)
    worker = forger.worker()
    forger.assert_dead(sent[0], "Malformed", "not a signed function")
    forger.assert_dead(sent[1], "BadSignature")
    forger.assert_dead(sent[2], "UnknownKey", STRANGER.active.name)
    forger.assert_dead(sent[3], "Malformed", "has the hash")
    forger.assert_dead(sent[4], "Malformed", "cannot be read")
    forger.assert_goes_on(worker)


def test_junk_where_the_scripts_look(forger: Forger) -> None:
    """In lines, on the lists that wake children, on the list of orders, in what workers tell of themselves."""
    node, prefix = forger.node, forger.scene.prefix
    worker = forger.worker()
    incarnation = forger.scene.live_workers()["worker1"]
    stranger = STRANGER.signer("control", forger.scene.name).sign(BOMB)
    holder = f"{incarnation}000001"
    for junk in (BOMB, b"", b"x", b"h", b"h" + BOMB, b"h" + b"f" * 42 + b"id:00000001\n" + BOMB, stranger):
        node.rpush(f"{prefix}q:default:4", junk, junk + b":00000001")
        node.rpush(f"{prefix}wake:{holder}", junk)
        node.rpush(f"{prefix}control:{incarnation}", junk)
        forger.assert_goes_on(worker)
    worker.says("an order was refused: UnknownKey")
    worker.says("an order was refused: Malformed")
    for number, info in enumerate((BOMB, b"[]", b'{"queues": 7, "pid": "x", "host": 3}')):
        node.sadd(f"{prefix}workers", f"{number:016x}")
        node.hset(f"{prefix}w:{number:016x}", mapping={"state": "live", "beat": BOMB, "info": info})
    beats = node.hget(f"{prefix}w:{incarnation}", "beat")
    wait_until(lambda: int(node.hget(f"{prefix}w:{incarnation}", "beat")) > int(beats) + 6)
    forger.assert_goes_on(worker)
    assert worker.said().count("died by") == 0


def test_tasks_that_are_not_allowed(make_forged: Callable[..., Forger]) -> None:
    """The arguments of what may not run are not even unpickled."""
    forger = make_forged(allow_tasks="*.echo", allow_by_value="no")
    named = forger.send(trust_bomb.Parcel(), task=worker_trust.forbidden)
    by_value = forger.scene.mesh.submit(lambda parcel: parcel, trust_bomb.Parcel())
    worker = forger.worker()
    forger.assert_dead(named, "NotAllowed", "allow_tasks of this worker (*.echo) forbids")
    forger.assert_dead(by_value, "NotAllowed")
    forger.assert_goes_on(worker)


def test_functions_by_value_can_be_refused_alone(make_forged: Callable[..., Forger]) -> None:
    forger = make_forged(allow_by_value="no")
    by_value = forger.scene.mesh.submit(lambda parcel: parcel, trust_bomb.Parcel())
    worker = forger.worker()
    forger.assert_dead(by_value, "NotAllowed", "allow_by_value is off")
    forger.assert_goes_on(worker)


def test_records_that_cannot_be_read(forger: Forger) -> None:
    """Each byte of the head changed, and the record cut at many lengths: no worker dies, no neighbour suffers.

    A head is not signed: whoever writes there can lose a message, move it or run it again, as he can by
    deleting it. What must not happen is that others pay for it.
    """
    scene, node = forger.scene, forger.node
    sent, honest = [], []
    for _ in range(108 + 18):
        sent.append(forger.send("tampered"))
        honest.append(forger.send("honest"))
    for at, handle in enumerate(sent):
        raw = bytearray(node.get(forger.key(handle)))
        if at < 108:
            raw[at] = ord("z") if at % 2 else 0xFF
        else:
            del raw[(at - 108) * 7 :]
        node.set(forger.key(handle), bytes(raw))
    worker = forger.worker(ready=False)
    assert [handle.get(90) for handle in honest] == ["honest"] * len(honest)
    wait_until(lambda: not node.keys(f"{scene.prefix}q:*"), what="the line is empty")
    wait_until(lambda: not node.keys(f"{scene.prefix}run:*"), what="nothing is held")
    forger.assert_goes_on(worker)
    assert "died by" not in worker.said()
    assert "Traceback" not in worker.said()


def test_records_of_what_runs_that_cannot_be_read(forger: Forger) -> None:
    """As above, with messages that a worker holds when it dies: the one that takes over must cope."""
    node, scene = forger.node, forger.scene
    doomed = forger.worker(name="doomed")
    doomed.signal_all(19)
    sent = [forger.send("tampered") for _ in range(108)]
    incarnation = scene.live_workers()["doomed"]
    holder, sequence = f"{incarnation}000001", "00000009"
    for at, handle in enumerate(sent):
        raw = bytearray(node.get(forger.key(handle)))
        raw[1:52] = b"T00000002" + b"000000000001" + holder.encode() + sequence.encode()
        if at not in range(1, 52):
            raw[at] = ord("z")
        node.set(forger.key(handle), bytes(raw))
    node.delete(f"{scene.prefix}q:default:4")
    node.hset(f"{scene.prefix}run:{holder}", sequence, "\n".join(handle.id for handle in sent))
    doomed.end()
    heir = forger.worker(name="heir")
    wait_until(lambda: not node.keys(f"{scene.prefix}run:*"), what="nothing is held")
    forger.assert_goes_on(heir)
    assert "died by" not in heir.said()
    assert "Traceback" not in heir.said()


def test_histories_forged(forger: Forger) -> None:
    """What is told of earlier attempts is verified as all else; the message says why it is not run."""
    junk, strangers = forger.send("never"), forger.send("never")
    forger.replace_outcome(junk, BOMB)
    forger.replace_outcome(strangers, forger.forged_outcome(strangers, STRANGER, state="RETRY"))
    worker = forger.worker(ready=False)
    forger.assert_dead(junk, "Malformed")
    forger.assert_dead(strangers, "UnknownKey")
    forger.assert_goes_on(worker)
