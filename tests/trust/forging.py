"""What somebody can do who can write into the node, and holds no key."""

from __future__ import annotations

from typing import Any

from taskmesh import AsyncResult
from taskmesh.codec.envelope import Envelope, encode_envelope
from taskmesh.codec.keyring import Key, Keyring
from taskmesh.codec.outcome import Outcome, encode_outcome
from taskmesh.core.record import HEAD_LENGTH, Record
from tests.apps import trust_bomb, worker_trust
from tests.faults.scene import Scene, Worker
from tests.support import wait_until
from tests.trust.audit import Audit

BOMB = trust_bomb.BOMB
STRANGER = Keyring(Key.of(b"s" * 32))


class Forger:
    """Sends messages, and changes what the node holds of them."""

    def __init__(self, scene: Scene, audit: Audit) -> None:
        self.scene = scene
        self.audit = audit

    @property
    def node(self) -> Any:
        return self.scene.node

    def worker(self, **options: Any) -> Worker:
        """Start an audited worker."""
        env = self.audit.env | options.pop("env", {})
        found = self.scene.worker(1, app="tests.apps.worker_trust:mesh", env=env, **options)
        wait_until(self.audit.is_on, what="the processes are audited")
        return found

    def send(self, value: Any, *, task: Any = worker_trust.echo) -> AsyncResult[Any]:
        """Send an honest message."""
        return self.scene.task(task).delay(value)

    # -- forging ------------------------------------------------------------------

    def key(self, handle: AsyncResult[Any]) -> str:
        return f"{self.scene.prefix}r:{handle.id}"

    def record(self, handle: AsyncResult[Any]) -> Record:
        found = self.scene.record(handle.id)
        assert found is not None
        return found

    def replace_envelope(self, handle: AsyncResult[Any], envelope: bytes) -> None:
        """Put other bytes where a message's envelope was."""
        raw = self.node.get(self.key(handle))
        own = self.record(handle).envelope
        self.node.set(self.key(handle), raw[: len(raw) - len(own)] + envelope)

    def replace_outcome(self, handle: AsyncResult[Any], outcome: bytes) -> None:
        """Put other bytes where a message's outcome was."""
        raw, found = self.node.get(self.key(handle)), self.record(handle)
        names = HEAD_LENGTH + len(found.queue) + len(found.channel) + len(found.function)
        assert raw[names : names + len(found.outcome)] == found.outcome
        head = raw[:94] + b"%08x" % len(outcome) + raw[102:names]
        self.node.set(self.key(handle), head + outcome + raw[names + len(found.outcome) :])

    def forged_envelope(self, handle: AsyncResult[Any], ring: Keyring, **fields: Any) -> bytes:
        """Return the envelope that a bomber would write, signed with the keys that he has."""
        fields = {"id": handle.id, "task": "tests.apps.worker_trust.echo", "body": BOMB} | fields
        return encode_envelope(Envelope(**fields), ring.signer("message", self.scene.name))

    def forged_outcome(self, handle: AsyncResult[Any], ring: Keyring, **fields: Any) -> bytes:
        """Return the result that a bomber would write, signed with the keys that he has."""
        fields = {"id": handle.id, "state": "SUCCESS", "value": BOMB} | fields
        return encode_outcome(Outcome(**fields), ring.signer("result", self.scene.name))

    # -- demanding ----------------------------------------------------------------

    def assert_goes_on(self, worker: Worker) -> None:
        """Demand that the worker lives and works, and that nothing of the bomb was touched."""
        assert self.send("still there").get(90) == "still there"
        assert worker.process.poll() is None
        assert self.audit.events() == []

    def assert_dead(self, handle: AsyncResult[Any], *words: str) -> None:
        """Demand that a message is a dead letter whose reason has these words, for whoever asks."""
        reason = self.scene.reason(handle)
        for word in words:
            assert word in reason
        assert self.node.zscore(f"{self.scene.prefix}dead", handle.id) is not None
        assert self.record(handle).state.value == "DEAD"
