"""Every change of every record on every node, judged as it happens, and what follows from all of them together.

I3 tokens grow, I4 and I6 commits, I7 versions, I8 primaries, I13 new ids: see `world`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.core.record import TOKEN
from taskmesh.core.state import FINAL, LETTER, MOVES, STATE_OF
from taskmesh.core.steps import Call, NodeError, Reply
from taskmesh.queue.claim import Claimed
from tests.simulation.mesh.ledger import PREFIX, BrokenPromise
from tests.simulation.mesh.network import Process
from tests.simulation.mesh.server import Server

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World

VERSION = slice(2, 10)
FINAL_LETTERS = b"".join(LETTER[state] for state in FINAL)
#: One script may make two moves of one message: one is due and claimed, or given to an idle child.
TWO_MOVES = {
    (LETTER[a], LETTER[c]) for a, middle in MOVES.items() for b in middle for c in (b, *MOVES[b])
} | {(letter, letter) for letter in LETTER.values()}


class Records:
    """Judges what becomes of records.

    Attributes:
        on: What each server holds, by address and id.
        forgotten: What a life of a server has forgotten, when its time was over: address, life, id.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.on: dict[str, dict[bytes, bytes]] = {address: {} for address in world.servers}
        self.forgotten: set[tuple[str, int, bytes]] = set()
        self._made: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        self._leads: dict[tuple[int, bytes], str] = {}
        self._claimed: dict[bytes, bytes] = {}
        self._tokens: set[tuple[bytes, bytes]] = set()
        self._harmed: set[bytes] = set()
        self._began: dict[bytes, list[bytes]] = {}

    def executed(self, server: Server, process: Process, call: Call, reply: Reply) -> None:
        """Look at what one call has changed."""
        if isinstance(reply, NodeError) and reply.text.startswith("OOM") and not _sends(call):
            raise BrokenPromise(f"I15: {server.address} is full, and refuses {call}")
        values, known = server.node.values, self.on[server.address]
        for task_id, plan in self.world.ledger.plans.items():
            new = values.get(plan.key)
            old = known.get(task_id)
            if new is old:
                continue
            if new is None:
                del known[task_id]
                self.world.removed(server, task_id, old, call)
                continue
            if not isinstance(new, bytes):
                raise BrokenPromise(f"the record of {task_id!r} is not a string")
            known[task_id] = new
            if new != old:
                try:
                    self._changed(server, task_id, plan.slot, old, new, call)
                except BrokenPromise as broken:
                    raise BrokenPromise(
                        f"{broken}\n{task_id.decode()} on {server.address} by {process.name}, {call}\n"
                        f"  before {_shown(old)}\n  after  {_shown(new)}"
                    ) from None

    def lost(self, server: Server) -> None:
        """Take in a disk as it is, whatever was there before."""
        known = self.on[server.address] = {}
        for task_id, plan in self.world.ledger.plans.items():
            record = server.node.values.get(plan.key)
            if isinstance(record, bytes):
                known[task_id] = record

    def _changed(
        self, server: Server, task_id: bytes, slot: int, old: bytes | None, new: bytes, call: Call
    ) -> None:
        version = new[VERSION]
        if old is None and (server.address, server.run, task_id) in self.forgotten:
            raise BrokenPromise("I11: it was forgotten there, and is there again")
        if old is not None and version < old[VERSION]:
            raise BrokenPromise("I7: it went back to an older version")
        what = new[1:52], _rest(new)
        made = self._made.setdefault((task_id, version), what)
        # an outcome may be dropped after its time
        if made != what and (made[0] != what[0] or (made[1] and what[1])):
            raise BrokenPromise(f"I7: two records have version {version.decode()}: {made} and {what}")
        name = call.script.name if call.script is not None else "command"
        if name in self.world.copying:
            return
        before = old[1:2] if old is not None else b""
        if before and before in FINAL_LETTERS:
            # its outcome is dropped after its time: each node sees to its own copies, whoever leads them
            if new[1:10] != old[1:10] or _outcome(new):  # type: ignore[index]
                raise BrokenPromise("I4: a final record changed")
            return
        self._is_led(server, slot, call.args[0])
        # one that has not heard of a newer view may do so: that does not count
        if old is None and task_id in self.world.ledger.accepted and call.args[0] == self.world.view.epoch:
            raise BrokenPromise("I13: it was accepted before, and is made once more")
        if before and (before, new[1:2]) not in TWO_MOVES:
            raise BrokenPromise(f"the states have no such move: {before!r} to {new[1:2]!r}")
        if old is not None and version == old[VERSION] and new[1:52] != old[1:52]:
            raise BrokenPromise("I7: a move without a new version")
        if new[1:2] == b"T" and (old is None or version != old[VERSION]):
            self._is_claimed(task_id, new)
        if name.startswith("queue.commit"):
            at = call.args.index(task_id, 5)
            if old is None or call.args[at + 1] != old[TOKEN]:
                raise BrokenPromise("I6: a commit without the token of the claim")

    def _is_led(self, server: Server, slot: int, epoch: bytes) -> None:
        """I8: of one slot and one epoch, one node accepts changes."""
        leads = self._leads.setdefault((slot, epoch), server.address)
        if leads != server.address:
            raise BrokenPromise(f"I8: slot {slot} is led by {leads} and {server.address} in epoch {epoch!r}")

    def _is_claimed(self, task_id: bytes, record: bytes) -> None:
        """I3: no token is given twice."""
        token = record[TOKEN]
        if (task_id, token) in self._tokens:
            raise BrokenPromise(f"I3: the token {token!r} was given before")
        self._tokens.add((task_id, token))

    # What workers tell

    def began(self, claimed: Claimed) -> None:
        """A worker begins a run: its token was recorded somewhere, and is younger than those of earlier runs."""
        if (claimed.task_id, claimed.token) not in self._tokens:
            raise BrokenPromise(
                f"I3: {claimed.task_id!r} is run by a token that no record had: {claimed.token!r}"
            )
        self.world.copies.began(claimed)
        self._is_explained(claimed)

    def harmed(self, incarnation: bytes) -> None:
        """Note that a worker has died, or that others declare it dead."""
        self._harmed.add(incarnation)

    def _is_explained(self, claimed: Claimed) -> None:
        """I16: it was to be tried again as often as it begins, or one of those who ran it was harmed."""
        before = self._began.setdefault(claimed.task_id, [])
        alive = self.world.alive()
        # who is declared dead may hear of its claim when another has run the message
        holders = [token[20:36] for token in (*before, claimed.token)]
        unharmed = all(holder in alive and holder not in self._harmed for holder in holders)
        if unharmed and len(before) > self.world.ledger.plans[claimed.task_id].again:
            raise BrokenPromise(
                f"I16: {claimed.task_id!r} begins by {claimed.token!r}, as before by {before}"
            )
        before.append(claimed.token)

    def heard_committed(self, task_id: bytes, token: bytes, letter: bytes, outcome: bytes) -> None:
        """A worker was told that what it committed counts."""
        if letter in FINAL_LETTERS:
            self.world.ledger.saw(task_id, STATE_OF[letter[0]].value, outcome)


def function_of(record: bytes) -> bytes:
    """Return the content hash of the function that a record refers to."""
    start = 108 + int(record[102:104], 16) + int(record[104:106], 16)
    return record[start : start + int(record[106:108], 16)]


def _sends(call: Call) -> bool:
    # plain commands furnish a node that is to be one, which is tried again
    return call.script is None or call.script.name.startswith("queue.enqueue")


def _rest(record: bytes) -> bytes:
    """Return what of a record is the same on all copies, besides its head: one that is final keeps its outcome only."""
    return record[94:] if record[1:2] not in FINAL_LETTERS else _outcome(record)


def _outcome(record: bytes) -> bytes:
    """Return the outcome of a final record."""
    if record[1:2] not in FINAL_LETTERS:
        return b""
    start = 108 + int(record[102:104], 16) + int(record[104:106], 16) + int(record[106:108], 16)
    return record[start : start + int(record[94:102], 16)]


def _shown(record: bytes | None) -> str:
    return "nothing" if record is None else record[:108].decode("ascii", "replace")


def hint(task_id: bytes, record: bytes) -> bytes:
    """Return what stands in a line for a record."""
    return task_id + b":" + record[VERSION]


def key(name: bytes) -> bytes:
    """Return a key of the mesh."""
    return PREFIX + name
