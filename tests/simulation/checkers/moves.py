"""Every change of every record, judged as it happens: is it a move of the table, made by who may make it?

After each call that the node has executed, the records are compared with what they were. This is the one checker
that knows the rules of each script; it asks nothing of the scripts' own bookkeeping but the record and the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.core.keys import BY_TICKET
from taskmesh.core.record import AT_MOST_ONCE, REMEMBER_S, REVOKE_REQUESTED, Record
from taskmesh.core.state import FINAL, LETTER, MOVES, State
from taskmesh.core.steps import NodeError
from taskmesh.core.version_order import encode
from taskmesh.errors import Malformed
from taskmesh.queue.commit import REQUEUED, SNOOZED
from taskmesh.testing.simulated_network import Executed
from tests.simulation.ledger import PREFIX, Violation
from tests.simulation.records import parsed

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Scripts that may be run at any epoch: they make the mesh, or only show things to people.
ANY_EPOCH = {"replication.join", "queue.status", "queue.backlog"}
#: What a commit calls some of the states to which it brings messages.
GOES_ON = {REQUEUED: b"P", SNOOZED: b"S"}
WAITING = (State.SCHEDULED, State.RETRY)
#: A clock that is believed to be the node's may be off by so much.
SKEW_MS = 200


class Moves:
    """Judges moves, and knows where every message stands.

    Attributes:
        records: Each record as it stands.
        open: Ids that are not final.
        lives: How often the node came back with an older disk.
        ended_by: For each claim that is over, the script that ended it; `older disk` where none did.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.records: dict[bytes, bytes] = {}
        self.open: set[bytes] = set()
        self.lives = 0
        self.ended_by: dict[tuple[bytes, str], str] = {}
        self._tokens: set[tuple[bytes, str]] = set()
        self._keys: dict[bytes, bytes] = {}
        self._found: list[object] = []
        self._rules: dict[str, Callable[[bytes, Record, Record, tuple[bytes, ...]], None]] = {
            "queue.enqueue": self._enqueued,
            "queue.claim": self._claimed,
            "queue.ticket": self._given,
            "queue.commit": self._committed,
            "queue.recall": self._recalled,
            "queue.reap": self._reaped,
            "queue.revoke": self._revoked,
            "queue.unpark": self._unparked,
        }

    # Events

    def executed(self, executed: Executed) -> None:
        """Look at what one call has changed."""
        script = executed.call.script
        if script is not None and script.name not in ANY_EPOCH:
            stale = executed.call.args[0] != self.world.epoch
            text = executed.reply.text if isinstance(executed.reply, NodeError) else ""
            # a full node refuses a script before it begins
            if stale != text.startswith("STALEVIEW") and not text.startswith("OOM"):
                raise Violation(
                    f"{script.name} at epoch {executed.call.args[0]!r}, the node's is {self.world.epoch!r}"
                )
        if len(self._keys) < len(self.world.ledger.plans):
            self._keys = {task_id: PREFIX + b"r:" + task_id for task_id in self.world.ledger.plans}
        # most calls change none, and there are many calls: to compare them all at once takes a fifth of the time
        found = [*map(self.world.node.values.get, self._keys.values())]
        if found == self._found:
            return
        for task_id, new in zip(self._keys, found, strict=True):
            old = self.records.get(task_id)
            if new == old:
                continue
            if new is not None and not isinstance(new, bytes):
                raise Violation(f"the record of {task_id!r} is not a string")
            self._changed(task_id, old, new, executed)
            self._note(task_id, new)
        self._found = found

    def came_back_older(self) -> None:
        """Take in a disk as it is, whatever was there before."""
        self.lives += 1
        self._found = []
        ledger = self.world.ledger
        for task_id in ledger.plans:
            old, new = self.records.get(task_id), self.world.record(task_id)
            if new == old:
                continue
            if old is not None and old[1:2] == b"T":
                self.ended_by[task_id, old[2:52].decode()] = "older disk"
            if new is not None and new[1:2] == b"T":
                self.ended_by.pop((task_id, new[2:52].decode()), None)
            if new is None:
                ledger.accepted.discard(task_id)
            if new is None or parsed(new).state not in FINAL or not old or new[:86] != old[:86]:
                ledger.seen.pop(task_id, None)
            self._note(task_id, new)

    def heard_accepted(self, task_id: bytes) -> None:
        """Note that a client was told that a message is recorded."""
        if task_id in self.records:
            self.world.ledger.accepted.add(task_id)
        elif not self.lives:
            raise Violation(f"{task_id!r} was accepted, and there is no record of it")

    def heard_rejected(self, task_id: bytes) -> None:
        """Note that a client was told that a message is certainly not recorded."""
        if task_id in self.records:
            raise Violation(f"{task_id!r} was rejected, and is recorded")
        self.world.ledger.rejected.add(task_id)

    def heard_committed(self, task_id: bytes, token: bytes, outcome: bytes) -> None:
        """Note that a child was told that its outcome counts."""
        record = self.records.get(task_id)
        if record is None:
            if not self.lives:
                raise Violation(f"{task_id!r} was committed, and there is no record of it")
            return
        said = parsed(record)
        if said.outcome == outcome or (not said.outcome and task_id in self.world.ledger.forgotten):
            return
        if not self.lives:
            raise Violation(f"{task_id!r}: {outcome!r} was taken, and the record says {said.outcome!r}")

    def check_accepted(self) -> None:
        """Check, at the end, that every accepted message is there and final."""
        for task_id in self.world.ledger.accepted:
            record = self.records.get(task_id)
            if record is None or parsed(record).state not in FINAL:
                raise Violation(f"{task_id!r} was accepted and is not final: {record!r}")

    # Judging

    def _note(self, task_id: bytes, record: bytes | None) -> None:
        if record is None:
            self.records.pop(task_id, None)
            self.open.discard(task_id)
            return
        self.records[task_id] = record
        if parsed(record).state in FINAL:
            self.open.discard(task_id)
        else:
            self.open.add(task_id)

    def _changed(self, task_id: bytes, old: bytes | None, new: bytes | None, executed: Executed) -> None:
        script, args = executed.call.script, executed.call.args
        name = script.name if script else args[0].decode()
        where = f"{name} by {executed.process} changed {task_id!r} from {_shown(old)} to {_shown(new)}"
        try:
            after = parsed(new) if new is not None else None
            before = parsed(old) if old is not None else None
            if before is not None and before.state in FINAL:
                self._removed(task_id, before, after, args)
                return
            if after is None:
                raise Violation("a record that is not final is gone")
            if before is None:
                if name != "queue.enqueue":
                    raise Violation("only enqueue makes records")
                before = parsed(self.world.ledger.plans[task_id].record)
                self._accepted(task_id, before, after)
                if after == before:
                    return
            rule = self._rules.get(name)
            if rule is None:
                raise Violation("this may not change records")
            if isinstance(executed.reply, NodeError):
                raise Violation(f"it answered {executed.reply.text}, which says that nothing was changed")
            self._unchanged_parts(before, after)
            rule(task_id, before, after, args)
            self._version(before, after, name)
        except (Violation, Malformed) as problem:
            raise Violation(f"{where}: {problem}") from problem
        if before.state is State.STARTED and after.state is not State.STARTED:
            self.ended_by[task_id, before.token] = name
        if after.state is State.STARTED and before.state is not State.STARTED:
            if (task_id, after.token) in self._tokens:
                raise Violation(f"{where}: its token was given out before")
            self._tokens.add((task_id, after.token))

    def _version(self, before: Record, after: Record, name: str) -> None:
        if after.state is before.state:
            if after.version != before.version:
                raise Violation("its version changed and its state did not")
            return
        # a claim first moves on what is due
        steps = 2 if before.state in WAITING and after.state is State.STARTED and name == "queue.claim" else 1
        if after.version != before.version + steps:
            raise Violation(f"{steps} moves raise the version by {steps}")
        if steps == 1 and after.state not in MOVES[before.state]:
            raise Violation("that is no move of the table")

    def _unchanged_parts(self, before: Record, after: Record) -> None:
        if after.attempt != before.attempt + (after.state is State.RETRY and before.state is State.STARTED):
            raise Violation("its attempt is counted by its retries, and by nothing else")
        for part in ("slot", "priority", "created_ms", "result_ttl_s", "queue", "channel"):
            if part in ("priority", "queue") and after.state is State.RETRY:
                continue  # it may go on elsewhere: looked at with what was said
            if part == "result_ttl_s" and after.state is State.DEAD:
                continue  # a dead letter is kept for a time of its own
            if getattr(before, part) != getattr(after, part):
                raise Violation(f"its {part} changed")
        if after.state is State.RETRY:
            if before.function != after.function:
                raise Violation("its function changed")
        elif after.state not in FINAL or after.state in (State.FAILURE, State.DEAD):
            if (before.envelope, before.function) != (after.envelope, after.function):
                raise Violation("its envelope or its function changed")
        elif after.envelope or after.function:
            raise Violation("its envelope or its function was kept")
        if after.state not in FINAL and after.state is not State.RETRY and after.outcome != before.outcome:
            raise Violation("what was signed of its attempts changed")

    def _accepted(self, task_id: bytes, sent: Record, after: Record) -> None:
        if task_id in self.world.ledger.rejected:
            raise Violation("a message was recorded after its sender had been told that it certainly is not")
        if after.version == 1 and after != sent:
            raise Violation("it was not recorded as it was sent")

    def _enqueued(self, task_id: bytes, before: Record, after: Record, args: tuple[bytes, ...]) -> None:
        """A single message may be given to an idle child at once."""
        if after.state is not State.STARTED:
            raise Violation("enqueue may only hand over a message that it has just recorded")
        self._lease(after, args[0], None)

    def _given(self, task_id: bytes, before: Record, after: Record, args: tuple[bytes, ...]) -> None:
        """A ticket has what is ready given to a child of the worker that heard it, and to no other."""
        if before.state is not State.PENDING or after.state is not State.STARTED:
            raise Violation("a ticket may only hand over what is ready")
        self._lease(after, args[0], None)
        holder = after.token[20:42].encode()
        if holder[:16] != args[2] or not int(holder[16:], 16) & BY_TICKET or after.queue.encode() != args[3]:
            raise Violation(f"it was given to {holder!r}, by a ticket for {args[3]!r} that {args[2]!r} heard")
        if (before.crashes, before.flags) != (after.crashes, after.flags):
            raise Violation("a ticket charges and flags nothing")

    def _claimed(self, task_id: bytes, before: Record, after: Record, args: tuple[bytes, ...]) -> None:
        if before.state in WAITING and before.moment_ms > int(args[1]):
            raise Violation(f"it was due at {before.moment_ms}, which is after {args[1]!r}")
        if after.state is State.PENDING:
            if before.state not in WAITING:
                raise Violation("a claim only moves on what is due")
            return
        self._lease(after, args[0], args[2] + args[3])
        if (before.crashes, before.flags) != (after.crashes, after.flags):
            raise Violation("a claim charges and flags nothing")
        if after.moment_ms != (before.moment_ms if self._is_parked(task_id, before) else 0):
            raise Violation("its moment stays as long as it means how long it may be parked, and no longer")

    def _is_parked(self, task_id: bytes, before: Record) -> bool:
        """Tell whether a message waits, or waited, for a build that knows it, and not for a time."""
        parked = self.world.node.call((b"HGET", PREFIX + b"parked", task_id))
        if before.state is State.PENDING:
            return before.moment_ms > 0
        return isinstance(parked, bytes) and parked[-9:] == b":" + encode(before.version)

    def _lease(self, after: Record, epoch: bytes, holder_and_sequence: bytes | None) -> None:
        lease = after.token[8:].encode()
        if after.token[:8] != encode(after.version).decode() or lease[:12] != epoch:
            raise Violation("the token is not of this version and epoch")
        if holder_and_sequence is not None and lease[12:] != holder_and_sequence:
            raise Violation("the token is not the claimer's")
        worker = self.world.node.call((b"HGET", PREFIX + b"w:" + lease[12:28], b"state"))
        if worker != b"live":
            raise Violation(f"the worker that took it is {worker!r}")
        if after.queue.encode() in self.world.indexes.members(b"paused"):
            raise Violation(f"it was taken from {after.queue!r}, which is paused")

    def _committed(self, task_id: bytes, before: Record, after: Record, args: tuple[bytes, ...]) -> None:
        first = 6 + 2 * int(args[5])
        for at in range(first, len(args), 4):
            if args[at] != task_id or args[at + 1].decode() != before.token:
                continue
            if before.state is not State.STARTED:
                continue
            letter, told = args[at + 2], args[at + 3]
            if GOES_ON.get(letter, letter) != LETTER[after.state]:
                if letter in b"PQSYZ" and self._ends_as_told(task_id, before, after):
                    return
                continue
            if after.state in FINAL and after.outcome != args[at + 3]:
                raise Violation(f"its outcome is not the one committed, {args[at + 3]!r}")
            if after.state not in FINAL and _is_told(before):
                raise Violation("it was told to be revoked, and may begin again")
            if before.crashes != after.crashes:
                raise Violation("a commit charges no crash")
            plan = self.world.ledger.plans[task_id]
            if letter == b"K" and plan.kind in ("retry", "change") and after.attempt != plan.again + 1:
                raise Violation(f"it ended with attempt {after.attempt}, after {plan.again} retries")
            if letter in (b"Y", SNOOZED):
                self._put_off(before, after, told)
            return
        raise Violation("no entry of the commit has its token and this state")

    def _put_off(self, before: Record, after: Record, told: bytes) -> None:
        """A retry or a snooze is due as was said."""
        due_ms = int(told[:12], 16) if after.state is State.RETRY else int(told)
        if after.moment_ms != due_ms:
            raise Violation(f"it is due at {after.moment_ms}, and was put off until {due_ms}")
        if after.state is State.RETRY:
            priority, first = told[20:21].replace(b"-", b"%d" % before.priority), 23 + int(told[21:23], 16)
            queue = told[23:first].decode() or before.queue
            if (after.queue, b"%d" % after.priority) != (queue, priority):
                raise Violation(
                    f"it waits in {after.queue} with {after.priority}, not in {queue} with {priority!r}"
                )
            length = int(told[12:20], 16)
            if after.outcome != told[first : first + length]:
                raise Violation(f"its attempts are told as {after.outcome!r}")
            if after.envelope != (told[first + length :] or before.envelope):
                raise Violation(f"its envelope is {after.envelope!r}")

    def _recalled(self, task_id: bytes, before: Record, after: Record, args: tuple[bytes, ...]) -> None:
        if before.state is not State.STARTED or before.token[20:].encode() != args[2] + args[3]:
            raise Violation("it is not of the claim that is recalled")
        if before.crashes != after.crashes or before.flags != after.flags:
            raise Violation("a recall charges nothing")
        if not self._ends_as_told(task_id, before, after) and (
            after.state is not State.PENDING or _is_told(before)
        ):
            raise Violation("a recall puts it back in line, unless it was told to be revoked")
        self.world.claims.check_recalled(task_id, args[2], args[3], int(args[4]))

    def _reaped(self, task_id: bytes, before: Record, after: Record, args: tuple[bytes, ...]) -> None:
        holder, by, charged, token, outcome = args[2:7]
        if before.state is not State.STARTED or before.token[20:42].encode() != holder:
            raise Violation("the dead child does not hold it")
        state = self.world.node.call((b"HGET", PREFIX + b"w:" + holder[:16], b"state"))
        if by != holder[:16] and state == b"live":
            raise Violation("another worker reaps a child of one that is alive")
        guilty = charged == task_id and before.token.encode() == token
        sentenced = guilty and bool(outcome)
        told = not sentenced and _is_told(before)
        crashed = guilty and not told and (not outcome or args[9] == b"D")
        if after.crashes != before.crashes + crashed:
            raise Violation(f"its crashes went from {before.crashes} to {after.crashes}")
        begun = self.world.runs.has_begun(task_id, before.token)
        if before.flags & AT_MOST_ONCE and begun and after.state not in FINAL:
            raise Violation("it may begin only once, has begun, and goes back in line")
        if sentenced:
            if LETTER[after.state] != args[9] or after.outcome != outcome:
                raise Violation("the message that is charged ends by the outcome that came with the charge")
            self._sentenced(task_id, after)
        elif told:
            if not self._ends_as_told(task_id, before, after):
                raise Violation("it was told to be revoked, and may begin again")
        elif after.state is State.DEAD and before.flags & AT_MOST_ONCE:
            ends = dict(zip(args[11::3], args[13::3], strict=False))
            if ends.get(task_id) != after.outcome:
                raise Violation("it does not end by the outcome that came for it")
        elif after.state is not State.PENDING:
            raise Violation("it goes back in line unless it is charged")
        # after an older disk, what a dead child noted may mean a claim of the life that never was
        if not self.lives and after.crashes > self.world.ledger.plans[task_id].blamable:
            raise Violation("it is charged with more crashes than there were")

    def _sentenced(self, task_id: bytes, after: Record) -> None:
        """Who is ended on purpose is the one that was meant."""
        plan = self.world.ledger.plans[task_id]
        if after.outcome.split(b"|")[1] != task_id:
            raise Violation(f"it ends by the outcome of another, {after.outcome!r}")
        if self.lives:
            return  # the claim that was meant may be of the life that never was; this one has its number
        if after.state is State.FAILURE and plan.kind != "overdue":
            raise Violation("it had no limit, and is ended for that")
        if after.state is State.REVOKED and not plan.terminated:
            raise Violation("it is ended by terminate, and nobody asked for that")

    def _ends_as_told(self, task_id: bytes, before: Record, after: Record) -> bool:
        """Tell whether a message ends because it was told to be revoked while it ran, by what was signed then."""
        return _is_told(before) and after.state is State.REVOKED and after.outcome == b"V|%s|" % task_id

    def _revoked(self, task_id: bytes, before: Record, after: Record, args: tuple[bytes, ...]) -> None:
        expires_ms = self.world.ledger.plans[task_id].expires_ms
        if args[2] == b"X" and not 0 < expires_ms <= int(args[1]) + SKEW_MS:
            raise Violation(f"it expired before its time, {expires_ms}")
        if before.state is State.STARTED:
            if (
                args[2] == b"X"
                or after.state is not State.STARTED
                or after.flags != before.flags | REVOKE_REQUESTED
            ):
                raise Violation("what runs is only flagged")
        elif LETTER[after.state] != args[2] or after.outcome != args[3 + args[3:].index(task_id) + 2]:
            raise Violation("what waits is revoked or expires, with the outcome that was given")

    def _unparked(self, task_id: bytes, before: Record, after: Record, args: tuple[bytes, ...]) -> None:
        if before.state is not State.SCHEDULED or after.state is not State.PENDING:
            raise Violation("only what was parked comes back")

    def _removed(self, task_id: bytes, before: Record, after: Record | None, args: tuple[bytes, ...]) -> None:
        """A final record is only ever shortened, when its time has come or somebody asks for it, and then dropped."""
        if after is None:
            if int(args[1]) + SKEW_MS < before.moment_ms + REMEMBER_S * 1000:
                raise Violation("it was forgotten too soon")
            return
        if after.state is not before.state or after.version != before.version:
            raise Violation("a final state changed")
        if after.outcome or after.envelope or after.function:
            raise Violation("an outcome changed")
        asked = task_id in self.world.ledger.forgotten
        if not asked and int(args[1]) + SKEW_MS < before.moment_ms + before.result_ttl_s * 1000:
            raise Violation("its outcome was dropped too soon")


def _is_told(record: Record) -> bool:
    """Whether the message was told to be revoked while it ran."""
    return bool(record.flags & REVOKE_REQUESTED)


def _shown(record: bytes | None) -> str:
    return "nothing" if record is None else record[:108].decode("ascii", "replace")
