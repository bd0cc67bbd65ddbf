"""Clients: they send, send again what may not have arrived, listen, read, revoke and forget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskmesh.core import keys
from taskmesh.core.ids import slot_of
from taskmesh.core.notice import split_notice
from taskmesh.core.record import AT_MOST_ONCE, head_parts, parse
from taskmesh.core.state import FINAL, State
from taskmesh.core.steps import Pause, Steps
from taskmesh.errors import NodeUnavailable
from taskmesh.queue.control import give_orders
from taskmesh.queue.enqueue import NewMessage, Sent, enqueue, message_keys
from taskmesh.queue.manage import forget_queue, revoke
from taskmesh.queue.pause import pause, resume
from taskmesh.replication.join import join
from taskmesh.results.read import forget, read
from taskmesh.testing.simulated_driver import SimulatedProcess
from tests.simulation.child import HARD_LIMIT_S
from tests.simulation.ledger import IDEMPOTENCY, INSTEAD, PREFIX, Plan, Violation

if TYPE_CHECKING:
    from tests.simulation.world import World

SLOTS = 64
FUNCTIONS = [b"%064x" % number for number in range(1, 4)]
RESULT_TTL_S = 3600
#: Kinds of messages that ask to be run more than once.
AGAIN = ("retry", "change", "snooze", "requeue")
SLOW_S_MIN = 0.06
#: More than any history lasts.
ENDLESS_S = 1000.0
#: A request that is late is executed within so many seconds.
LATE_S_MAX = 12


class Client:
    """One client process."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number
        self.process = SimulatedProcess(
            f"client{number}", world.network, timeout_s=1.0, clock_skew_s=world.random.uniform(-0.05, 0.05)
        )
        self.session = self.process.session(PREFIX, slots=SLOTS)
        self.channel = b"%016x" % number
        self._made = 0
        self._sending = 0
        self._unsure: list[tuple[list[NewMessage], dict[bytes, bytes]]] = []
        self._insists = False

    @property
    def is_done(self) -> bool:
        """Whether every message that it wanted to send is accepted or given up."""
        return not self._sending and not self._unsure

    def begin(self) -> None:
        """Connect, and begin to send and to read."""
        self._sending += 1
        self.listen()
        self.process.start(self._live())
        self.process.start(self._keep_reading())

    def listen(self) -> None:
        """Subscribe to the notices for this process."""
        self.world.node.subscribe(keys.channel(PREFIX, self.channel), self._hear)

    def insist(self) -> None:
        """Send until it is accepted whatever may not have arrived."""
        self._insists = True
        self.process.start(self._keep_resuming())
        if self.world.rates.kinds.get("endless"):
            self.process.start(self._keep_ending())
        for messages, functions in self._unsure:
            self._sending += 1
            self.process.start(self._send(messages, functions, sent_before=True))
        self._unsure.clear()

    # Sending

    def _live(self) -> Steps[None]:
        yield from self._until_it_works(lambda: join(self.session, mesh_id="sim", slots=SLOTS, key_id="key"))
        random, rates = self.world.random, self.world.rates
        left = rates.messages // 2
        while left > 0 and not self.world.healed:
            count = min(left, random.choice([1, 1, 1, 2, 5]))
            left -= count
            messages = [self._message() for _ in range(count)]
            functions = {m.function: b"function " + m.function for m in messages if m.function}
            self._sending += 1
            self.process.start(self._send(messages, functions))
            yield Pause(random.uniform(0, 2 * rates.crowd * rates.fault_s * count / (rates.messages // 2)))
        self._sending -= 1

    def _message(self) -> NewMessage:
        random, rates = self.world.random, self.world.rates
        self._made += 1
        task_id = b"%d-%d" % (self.number, self._made)
        (kind,) = random.choices(list(rates.kinds), list(rates.kinds.values()))
        function = random.choice(FUNCTIONS) if kind.startswith("value") else b""
        slow = random.random() < rates.slow
        duration_s = (
            random.uniform(SLOW_S_MIN, rates.slow_s_max)
            if slow
            else random.choice([0.0001, 0.001, 0.01, 0.03])
        )
        if kind == "overdue":
            duration_s = random.choice([HARD_LIMIT_S - 0.01, HARD_LIMIT_S + 0.01, ENDLESS_S])
        elif kind == "endless":
            duration_s = ENDLESS_S
        queue, priority = random.choice(self.world.queues), random.choice([4, 4, 9])
        due = random.random() < rates.delayed
        keys = self._keys(due) if random.random() < rates.keyed else None
        now_ms = self.process.now_ms()
        due_ms = now_ms + int(random.uniform(0, 3000)) if due else 0
        expires_ms = now_ms + int(random.uniform(0, 6000)) if random.random() < rates.expiring else 0
        # what asks to run again may do so
        once = kind not in AGAIN and random.random() < rates.once
        start, middle, end, names = head_parts(
            state=b"S" if due else b"P",
            queue=queue,
            channel=random.choice([b"", self.channel]),
            function=function,
            priority=priority,
            flags=AT_MOST_ONCE if once else 0,
            result_ttl_s=RESULT_TTL_S,
        )
        slot = b"%04x" % slot_of(random.getrandbits(16), SLOTS)
        created = b"%012x%012x" % (now_ms, due_ms)
        record = start + slot + middle + created + end + names + b"envelope of " + task_id
        again = random.randint(1, 3) if kind in AGAIN else 0
        self.world.ledger.plans[task_id] = Plan(
            task_id, kind, duration_s, function, record, expires_ms, again, once, keys, self._limited()
        )
        return NewMessage(
            task_id,
            record,
            slot,
            queue,
            now_ms,
            b"%d" % priority,
            b"%d" % due_ms if due else b"",
            function,
            b"%d" % expires_ms if expires_ms else b"",
            keys,
        )

    def _limited(self) -> str | None:
        random, rates = self.world.random, self.world.rates
        return random.choice(list(rates.limits)) if rates.limits and random.random() < rates.limited else None

    def _keys(self, due: bool) -> tuple[bytes, ...]:
        random = self.world.random
        kinds = random.choice(["u", "u", "s", "s", "i", "us", "ui"])
        kinds = kinds.replace("s", "u") if due else kinds
        ended = self._ended_with_idempotency_key() if kinds == "i" and random.random() < 0.3 else None
        if ended is not None:
            # sent in its place, as a dead letter is that is sent again
            return (*(ended.keys or ())[:INSTEAD], ended.task_id)
        return message_keys(
            unique=b"%032x" % random.randrange(2) if "u" in kinds else b"",
            until_started=random.random() < 0.5,
            ttl_ms=random.choice([b"", b"", b"300", b"2000"]),
            idempotency=b"%032x" % random.randrange(3) if "i" in kinds else b"",
            given_for=b"%032x" % random.choice([0, 0, 0, 1]),
            task=b"task".hex().encode(),
            sequence=b"%032x" % random.randrange(2) if "s" in kinds else b"",
        )

    def _ended_with_idempotency_key(self) -> Plan | None:
        records, plans = self.world.moves.records, self.world.ledger.plans.values()
        ended = [
            plan
            for plan in plans
            if plan.keys is not None
            and plan.keys[IDEMPOTENCY]
            and plan.task_id in records
            and parse(records[plan.task_id]).state in FINAL
        ]
        return self.world.random.choice(ended) if ended else None

    def _send(
        self, messages: list[NewMessage], functions: dict[bytes, bytes], *, sent_before: bool = False
    ) -> Steps[None]:
        patience_s = 30.0 if self._insists else self.world.random.choice([0.2, 1.0, 4.0])
        ledger = self.world.ledger
        for message in messages:
            ledger.rejected.discard(message.task_id)
        try:
            sent: Sent = yield from enqueue(
                self.session, messages, functions, patience_s=patience_s, sent_before=sent_before
            )
        except NodeUnavailable:
            sent = Sent(unknown={message.task_id.decode(): "" for message in messages})
        ids = {message.task_id.decode() for message in messages}
        told = [*sent.accepted, *sent.rejected, *sent.unknown, *sent.duplicates]
        if sorted(told) != sorted(ids):
            raise Violation(f"of {sorted(ids)} the sender tells {sorted(told)}")
        for accepted in sent.accepted:
            self.world.moves.heard_accepted(accepted.encode())
        for rejected in sent.rejected:
            self.world.moves.heard_rejected(rejected.encode())
        again = [message for message in messages if message.task_id.decode() in sent.unknown]
        if again and self._insists:
            yield from self._send(again, functions, sent_before=True)
            return
        if again:
            self._unsure.append((again, functions))
        self._sending -= 1

    # Reading

    def _keep_reading(self) -> Steps[None]:
        yield Pause(0.3)
        while not self.world.healed:
            yield Pause(self.world.random.uniform(0, 2) / self.world.rates.reads)
            ids = list(self.world.ledger.plans)
            if ids:
                yield from self._read(self.world.random.sample(ids, min(8, len(ids))))

    def read_all(self) -> None:
        """Read every outcome once more."""
        self.process.start(self._read(list(self.world.ledger.plans)))

    def _read(self, ids: list[bytes]) -> Steps[None]:
        before = {task_id for task_id in ids if task_id in self.world.ledger.accepted}
        lives = self.world.moves.lives
        try:
            found = yield from read(self.session, [task_id.decode() for task_id in ids], patience_s=1.0)
        except NodeUnavailable:
            return
        if lives != self.world.moves.lives:
            return  # the node came back with an older disk in between: what was read may be of before
        for task_id, record in zip(ids, found, strict=True):
            if record is None:
                if task_id in before:
                    raise Violation(f"{task_id!r} was accepted and is not known any more")
            elif record.state in FINAL:
                self.world.ledger.saw(task_id, record.state.value, record.outcome)

    def _hear(self, _: bytes, payload: bytes) -> None:
        self.world.notices.heard(payload, split_notice(payload))

    # Meddling

    def revoke_some(self) -> None:
        """Revoke a few messages, whatever they are doing; now and then with terminate."""
        ids = self._some_ids()
        if not ids:
            return
        if self.world.random.random() < self.world.rates.terminate:
            self.process.start(self._quietly(self._terminate(ids)))
        else:
            self.process.start(self._quietly(revoke(self.session, _revokes(ids), patience_s=1.0)))

    def _terminate(self, ids: list[bytes]) -> Steps[None]:
        for task_id in ids:
            self.world.ledger.plans[task_id].terminated = True
        yield from revoke(self.session, _revokes(ids), patience_s=1.0)
        found = yield from read(self.session, [task_id.decode() for task_id in ids], patience_s=1.0)
        runs: dict[str, list[bytes]] = {}
        for task_id, record in zip(ids, found, strict=True):
            if record is not None and record.state is State.STARTED:
                runs.setdefault(record.token[20:36], []).append(b"%s %s" % (task_id, record.token.encode()))
        for incarnation, those in runs.items():
            yield from give_orders(self.session, [incarnation.encode()], b",".join(those), patience_s=1.0)

    def _keep_ending(self) -> Steps[None]:
        """Have ended what would run for ever, until all is over."""
        world = self.world
        while not world.all_over():
            if ids := [
                task_id
                for task_id in sorted(world.moves.open)
                if world.ledger.plans[task_id].kind == "endless"
            ]:
                yield from self._quietly(self._terminate(ids))
            yield Pause(1.0)

    def forget_some(self) -> None:
        """Drop a few outcomes."""
        ids = [task_id for task_id in self._some_ids() if task_id in self.world.ledger.accepted]
        self.world.ledger.forgotten.update(ids)
        if ids:
            self.process.start(self._quietly(forget(self.session, [i.decode() for i in ids], patience_s=1.0)))

    def pause_or_resume(self) -> None:
        """Pause a queue, let it go on, or forget it."""
        queue = self.world.random.choice(self.world.queues).decode()
        deed = self.world.random.choice([pause, resume, forget_queue])
        self.process.start(self._quietly(deed(self.session, queue, patience_s=1.0)))

    def _keep_resuming(self) -> Steps[None]:
        """Let all queues go on, for as long as a request to pause one may still be under way."""
        for _ in range(LATE_S_MAX):
            for queue in self.world.queues:
                yield from self._quietly(resume(self.session, queue.decode(), patience_s=1.0))
            yield Pause(1.0)

    def _some_ids(self) -> list[bytes]:
        ids = list(self.world.ledger.plans)
        return self.world.random.sample(ids, min(len(ids), self.world.random.randint(1, 3)))

    def _quietly(self, steps: Steps[Any]) -> Steps[None]:
        try:
            yield from steps
        except NodeUnavailable:
            return

    def _until_it_works(self, make: Any) -> Steps[None]:
        while True:
            try:
                yield from make()
            except NodeUnavailable:
                yield Pause(0.1)
                continue
            return


def _revokes(ids: list[bytes]) -> list[tuple[bytes, bytes, bytes]]:
    return [(task_id, b"", b"V|%s|" % task_id) for task_id in ids]
