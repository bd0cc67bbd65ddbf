"""Callers: they send, send again what may not have arrived, read, listen and revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskmesh.core import keys
from taskmesh.core.ids import make_id, routing_of, slot_of
from taskmesh.core.notice import TOO_LARGE, split_notice
from taskmesh.core.record import head_parts
from taskmesh.core.state import FINAL, STATE_OF
from taskmesh.core.steps import Pause
from taskmesh.errors import NodeUnavailable
from taskmesh.queue.enqueue import NewMessage, Sent, enqueue, message_keys
from taskmesh.queue.manage import revoke
from taskmesh.results.read import read
from tests.simulation.mesh.ledger import PREFIX, BrokenPromise, Plan
from tests.simulation.mesh.party import Party, Steps

if TYPE_CHECKING:
    from tests.simulation.mesh.server import Server
    from tests.simulation.mesh.world import World

QUEUE = b"default"
RESULT_TTL_S = 3600
FUNCTIONS = (b"1" * 64, b"2" * 64)


class Caller(Party):
    """One caller."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, f"caller{number}")
        self.number = number
        self.channel = b"%016x" % number
        self._made = 0
        self._sending = 0
        self._unsure: list[NewMessage] = []
        self._insists = False

    @property
    def is_done(self) -> bool:
        """Whether every message that it wanted to send is accepted."""
        return not self._sending and not self._unsure

    def begin(self) -> None:
        """Begin to send, to read and to revoke."""
        for server in self.world.servers.values():
            self.listen(server)
        share, rest = divmod(self.world.rates.messages, self.world.rates.callers)
        self._sending = 1
        self.do("sends", self._live(share + (self.number < rest)))
        if self.world.rates.reads:
            self.do("reads", self._keep_reading())
        if self.world.rates.revokes:
            self.do("revokes", self._keep_revoking())

    def listen(self, server: Server) -> None:
        """Subscribe to the notices for this caller at a server that was just started."""
        server.node.subscribe(keys.channel(PREFIX, self.channel), self._hear)

    def insist(self) -> None:
        """Send until it is accepted whatever may not have arrived."""
        self._insists = True
        unsure, self._unsure = self._unsure, []
        if unsure:
            self._sending += 1
            self.do("insists", self._send(unsure, again=True))

    # Sending

    def _live(self, count: int) -> Steps:
        random, rates = self.world.random, self.world.rates
        while count > 0 and not self.world.healed:
            some = min(count, random.choice((1, 1, 2)))
            count -= some
            self._sending += 1
            self.do("sends", self._send([self._message() for _ in range(some)]))
            yield Pause(random.random() * rates.long_s / (count + 1))
        self._sending -= 1

    def _message(self) -> NewMessage:
        random, rates = self.world.random, self.world.rates
        self._made += 1
        unique, sequence = self._keys()
        now_ms = self.now_ms()
        if unique or sequence:
            # keys and id must live in one slot
            task_id = make_id(
                now_ms, int((unique or sequence)[:4], 16), b"%02d%06d" % (self.number, self._made)
            )
        else:
            task_id = f"{self.number}-{self._made}"
        slot = slot_of(routing_of(task_id), rates.slots)
        function = random.choice(FUNCTIONS) if random.random() < rates.by_value else b""
        due_ms = now_ms + random.randrange(2000) if random.random() < rates.delayed and not sequence else 0
        priority = random.choice((4, 4, 9))
        start, middle, end, names = head_parts(
            state=b"S" if due_ms else b"P",
            queue=QUEUE,
            channel=self.channel,
            function=function,
            priority=priority,
            flags=0,
            result_ttl_s=RESULT_TTL_S,
        )
        wire, digits = task_id.encode(), b"%04x" % slot
        times = b"%012x%012x" % (now_ms, due_ms)
        self.world.plan(
            Plan(
                wire,
                PREFIX + b"r:" + wire,
                slot,
                random.uniform(0.5, 1.5) if random.random() < rates.slow else 0.01,
                b"F" if random.random() < rates.fails else b"K",
                random.randint(1, 2) if random.random() < rates.retries else 0,
                function,
                unique,
                sequence,
                self.world.held_before(unique, sequence),
            )
        )
        return NewMessage(
            wire,
            start + digits + middle + times + end + names + b"envelope of " + wire,
            digits,
            QUEUE,
            now_ms,
            b"%d" % priority,
            b"%d" % due_ms if due_ms else b"",
            function,
            keys=message_keys(unique=unique, sequence=sequence) if unique or sequence else None,
        )

    def _keys(self) -> tuple[bytes, bytes]:
        random, rates = self.world.random, self.world.rates
        if random.random() >= rates.keyed:
            return b"", b""
        key = b"%04x%028x" % (random.choice((0x1000, 0x9000)), 1)
        return (key, b"") if random.random() < 0.5 else (b"", key)

    def _send(self, messages: list[NewMessage], *, again: bool = False) -> Steps:
        patience_s = 60.0 if self._insists else self.world.random.choice((0.2, 1.0, 4.0))
        functions = {each.function: b"function " + each.function for each in messages if each.function}
        steps = enqueue(self.session, messages, functions, patience_s=patience_s, sent_before=again)
        try:
            sent: Sent = yield from self.talk(steps)
        except NodeUnavailable:
            sent = Sent(unknown={message.task_id.decode(): "" for message in messages})
        told = [*sent.accepted, *sent.rejected, *sent.unknown, *sent.duplicates]
        if sorted(told) != sorted(message.task_id.decode() for message in messages):
            raise BrokenPromise(f"of {[message.task_id for message in messages]} the sender tells {told}")
        for accepted in sent.accepted:
            self.world.gates.heard_accepted(accepted.encode())
            self.world.ledger.heard_accepted(accepted.encode())
        for duplicate, first in sent.duplicates.items():
            self.world.gates.heard_duplicate(duplicate.encode(), first.encode())
        left = {*sent.rejected, *sent.unknown}
        unsure = [message for message in messages if message.task_id.decode() in left]
        if unsure and self._insists:
            yield Pause(0.1)
            yield from self._send(unsure, again=True)
            return
        self._unsure += unsure
        self._sending -= 1

    # Reading

    def _keep_reading(self) -> Steps:
        while not self.world.healed:
            yield Pause(self.world.random.random() * 2 / self.world.rates.reads)
            yield from self.read(list(self.world.ledger.plans)[-4:])

    def read(self, ids: list[bytes]) -> Steps:
        """Read, and note what is seen; tell whether there was an answer."""
        ledger = self.world.ledger
        accepted = ledger.accepted & set(ids)
        seen = ledger.seen.keys() & set(ids)
        if not ids:
            return True
        try:
            found = yield from self.talk(
                read(self.session, [task_id.decode() for task_id in ids], patience_s=1.0)
            )
        except NodeUnavailable:
            return False
        for task_id, record in zip(ids, found, strict=True):
            if record is None:
                if task_id in accepted:
                    raise BrokenPromise(f"I1: {task_id!r} was accepted, and {self.name} reads nothing of it")
            elif record.state in FINAL:
                ledger.saw(task_id, record.state.value, record.outcome)
            elif task_id in seen:
                raise BrokenPromise(
                    f"I5: the outcome of {task_id!r} was seen, and later {self.name} reads {record.state.value}"
                )
        return True

    def read_all(self) -> Steps:
        """Read everything, until it is answered."""
        while not (yield from self.read(list(self.world.ledger.plans))):
            pass

    def _hear(self, _: bytes, payload: bytes) -> None:
        network = self.world.network
        network.after(network.random.random() * network.rates.delay_s, self._take_in, payload)

    def _take_in(self, payload: bytes) -> None:
        if self.process.paused:
            self.process.waiting.append((self._take_in, payload))
            return
        for outcome in split_notice(payload):
            if outcome == TOO_LARGE:
                continue
            letter, task_id, *_rest = bytes(outcome).split(b"|")
            self.world.ledger.saw(task_id, STATE_OF[letter[0]].value, bytes(outcome))

    # Meddling

    def _keep_revoking(self) -> Steps:
        world = self.world
        while not world.healed:
            yield Pause(world.random.random() * 2 / world.rates.revokes)
            ids = list(world.ledger.plans)
            if ids:
                task_id = world.random.choice(ids)
                world.ledger.asked.add(task_id)
                entries: list[Any] = [(task_id, b"", b"V|%s|" % task_id)]
                verdict = yield from self.quietly(self.talk(revoke(self.session, entries, patience_s=1.0)))
                if verdict in (b"o", b"V"):
                    world.ledger.told(task_id, "REVOKED was seen")
                    world.ledger.saw_state(task_id, "REVOKED")
