"""I2 and I10: what the lists, sets and hashes of a node say equals what follows from its records. A full recount."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from taskmesh.testing.node_commands.values import SortedSet
from tests.simulation.mesh.checkers.records import FINAL_LETTERS, function_of, hint
from tests.simulation.mesh.ledger import PREFIX, BrokenPromise
from tests.simulation.mesh.server import Server

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World


class Indexes:
    """Recounts."""

    def __init__(self, world: World) -> None:
        self.world = world

    def check(self, server: Server) -> None:
        """Recount everything on a node: the whole of it where it leads, the sets of ids where it follows."""
        values: dict[bytes, Any] = server.node.values
        records = self.world.records.on[server.address]
        obeys = values.get(PREFIX + b"epoch", b"").startswith(b"f")
        live = {task_id for task_id, record in records.items() if record[1:2] not in FINAL_LETTERS}
        self._is(server, "live", self._ids(values, b"L:"), live)
        self._is(server, "final", self._ids(values, b"F:"), records.keys() - live)
        self._buckets(server, values, records.keys() - live)
        self._functions(server, values, records)
        if not obeys:
            # it leads nothing before it is told so
            return
        own = values[PREFIX + b"own"]
        lines = {
            member: sum(one == member for one in line)
            for key, line in values.items()
            if key.startswith(PREFIX + b"q:")
            for member in line
        }
        blocked = self._ids(values, b"blk:")
        delayed = values.get(PREFIX + b"d")
        due = delayed.scores if isinstance(delayed, SortedSet) else {}
        for task_id in sorted(live):
            slot = self.world.ledger.plans[task_id].slot
            if own[slot : slot + 1] != b"1":
                continue
            record = records[task_id]
            state, here = record[1:2], hint(task_id, record)
            if state == b"P" and (lines.get(here, 0) == 0) != (task_id in blocked):
                raise BrokenPromise(
                    f"I10: {here!r} stands {lines.get(here, 0)} times in its line on {server.address}"
                )
            if state in b"SY" and due.get(here) != int(record[74:86], 16):
                raise BrokenPromise(f"I10: {here!r} waits on {server.address}, and nothing knows its time")
            if state == b"T":
                self._runs(server, values, task_id, record)

    def _runs(self, server: Server, values: dict[bytes, Any], task_id: bytes, record: bytes) -> None:
        run = values.get(PREFIX + b"run:" + record[22:44], {})
        if not any(task_id in ids.split(b"\n") for ids in run.values()):
            raise BrokenPromise(
                f"I10: {task_id!r} runs, and {server.address} does not know that its holder has it"
            )

    def _functions(self, server: Server, values: dict[bytes, Any], records: dict[bytes, bytes]) -> None:
        """A function is counted once for each copy here that refers to it, and is there as long as one does."""
        referred = Counter(function for record in records.values() if (function := function_of(record)))
        counted = {
            name: int(count) for name, count in values.get(PREFIX + b"fnref", {}).items() if int(count)
        }
        if counted != referred:
            raise BrokenPromise(
                f"I10: {server.address} counts functions {counted}, records refer to {referred}"
            )
        for function in referred:
            if PREFIX + b"fn:" + function not in values:
                raise BrokenPromise(
                    f"I10: records on {server.address} refer to {function!r}, which is not there"
                )

    def _buckets(self, server: Server, values: dict[bytes, Any], final: set[bytes]) -> None:
        if not final:
            return
        leaving = {
            task_id
            for key, groups in values.items()
            if key.startswith(PREFIX + b"x:")
            for group in groups
            for task_id in group.split(b"\n")
        }
        if final - leaving:
            raise BrokenPromise(f"I10: {sorted(final - leaving)} are never removed from {server.address}")

    @staticmethod
    def _ids(values: dict[bytes, Any], kind: bytes) -> set[bytes]:
        return {
            task_id for key, members in values.items() if key.startswith(PREFIX + kind) for task_id in members
        }

    @staticmethod
    def _is(server: Server, what: str, indexed: set[bytes], expected: set[bytes]) -> None:
        if indexed != expected:
            raise BrokenPromise(
                f"I10: the {what} ids on {server.address} are {sorted(indexed)}, by its records {sorted(expected)}"
            )
