"""A mesh of a few simulated nodes whose view changes, and a register for it that a leader may lose at any step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from taskmesh.consensus.registers import (
    NOTHING,
    Change,
    Changed,
    Delete,
    Keep,
    Operation,
    Refuse,
    Versioned,
    Write,
)
from taskmesh.core.steps import GroupSteps, Pause, Reply, Round
from taskmesh.errors import VersionConflict
from taskmesh.replication.mandate import Mandate
from taskmesh.replication.packed_view import unpack
from taskmesh.replication.plan import Goal
from taskmesh.replication.view import LOST, Member, View
from taskmesh.replication.view_register import Kept, ViewRegister, ViewSteps, hold
from taskmesh.ring import RingNode, propose
from taskmesh.testing.node_commands.values import SortedSet
from taskmesh.testing.simulated_node import SimulatedNode
from tests.unit.replication.small_mesh import PREFIX, SmallMesh, make_view

#: More than any change takes.
REQUESTS_MAX = 500


class Crash(Exception):
    """The leader is lost."""


class IdealRegisters:
    """What acceptors agree upon, without them."""

    def __init__(self) -> None:
        self.held: dict[str, Versioned] = {}

    def read(self, name: str) -> GroupSteps[Versioned]:
        """Return what a register holds."""
        yield from ()
        return self.held.get(name, NOTHING)

    def change(self, name: str, change: Change, operation: Operation) -> GroupSteps[Changed]:
        """Change a register."""
        yield from ()
        found = self.held.get(name, NOTHING)
        verdict = change(found)
        if isinstance(verdict, Refuse):
            raise verdict.error
        assert not isinstance(verdict, Delete)
        if isinstance(verdict, Keep):
            return Changed(found.version, found.content, b"")
        self.held[name] = Versioned(found.version + 1, verdict.content)
        return Changed(found.version + 1, verdict.content, b"")

    def compare_and_set(
        self, name: str, content: bytes, if_version: int, operation: Operation
    ) -> GroupSteps[Changed]:
        """Write a register if it stands at a version."""

        def write(found: Versioned) -> Any:
            if found.version == if_version:
                return Write(content)
            return Refuse(
                VersionConflict(f"{name} is at {found.version}", register=name, version=found.version)
            )

        return (yield from self.change(name, write, operation))


def run_id_of(node: SimulatedNode) -> str:
    """Return the run id of a node's process."""
    info = node.call((b"INFO", b"server"))
    assert isinstance(info, bytes)
    return info.split(b"run_id:")[1].split()[0].decode()


class ChangingMesh(SmallMesh):
    """The same, with members as they are in a real one, a register, and leaders."""

    def __init__(self, nodes: int = 3, replicas: int = 3) -> None:
        """Make the nodes, and a first view."""
        made = make_view(nodes=nodes, replicas=replicas)
        super().__init__(made)
        self.registers = IdealRegisters()
        self.token = 1
        self.notes: list[str] = []
        members = tuple(replace(member, run_id=run_id_of(self.nodes[member.id])) for member in made.members)
        self.obey(replace(made, members=members))

    def obey(self, view: View) -> None:
        """Have all nodes obey a view, as if they had been told."""
        for member in view.members:
            me = PREFIX + b"me"
            self.nodes[member.id].call((b"HSET", me, b"id", member.id, b"instance", member.instance))
            self.activate(member.id, view)
        self.standing.view = view

    # -- leaders --------------------------------------------------------------------

    def mandate(self) -> Mandate:
        """Return the mandate of a new leader."""
        self.token += 1
        count = iter(range(10**6))
        register = ViewRegister(self.registers, lambda size: next(count).to_bytes(size, "big"))
        return Mandate(PREFIX, lambda: self.now_ms, self.token, register, self.notes.append)

    def kept(self) -> Kept:
        """Return what the register holds; the view that nodes obey when it holds nothing."""
        register = ViewRegister(self.registers, bytes)
        found: Kept = run_to_end(register.read())
        return found if found.view is not None else Kept(0, self.standing.view)

    def lead(
        self,
        steps: ViewSteps[Any],
        *,
        crash_after: int = -1,
        between: Callable[[int], None] = lambda _step: None,
    ) -> Any:
        """Do a leader's work.

        Args:
            steps: The work.
            crash_after: The leader is lost after so many requests; never if negative.
            between: Called before each request, with its number.
        """
        count = 0

        def step() -> None:
            nonlocal count
            if count == crash_after:
                raise Crash
            between(count)
            count += 1
            assert count < REQUESTS_MAX, self.notes

        def with_nodes(request: Round | Pause) -> Sequence[Reply]:
            step()
            if isinstance(request, Pause):
                self.now_ms += int(request.seconds * 1000)
                return []
            # the answer may be lost to a leader that is lost; the calls were made
            return self._round(request)

        def with_acceptors(conversation: GroupSteps[Any]) -> Any:
            step()
            return run_to_end(conversation)

        return hold(steps, with_nodes, with_acceptors)

    # -- nodes ----------------------------------------------------------------------

    def add(self, number: int) -> Member:
        """Start an empty node, and return the member that it may become."""
        name = f"n{number}"
        self.nodes[name] = SimulatedNode(name)
        return Member(name, f"redis://{name}:6379", f"{number:016x}", run_id_of(self.nodes[name]))

    def cut_off(self, node: str) -> None:
        """Have a node be out of reach."""
        self.nodes[node].running = False

    def reach(self, node: str) -> None:
        """Have a node be within reach again: the same process, which has forgotten nothing."""
        self.nodes[node].running = True

    def obeyed(self) -> dict[str, int]:
        """Return which view each node obeys that is within reach; 0 while it waits."""
        found = {}
        for name, node in self.nodes.items():
            if node.running:
                epoch = node.call((b"GET", PREFIX + b"epoch"))
                if not isinstance(epoch, bytes):
                    continue
                found[name] = int(epoch[1:], 16) if epoch[:1] == b"f" else 0
        return found

    def everything(self) -> dict[str, dict[bytes, Any]]:
        """Return all that stands on all nodes, to be compared."""
        return {
            name: {
                key: dict(value.scores) if isinstance(value, SortedSet) else value
                for key, value in node.snapshot().values.items()
            }
            for name, node in self.nodes.items()
        }

    def look(self) -> View:
        """Take over the newest view that a node has, and return it."""
        for node in self.nodes.values():
            packed = node.call((b"GET", PREFIX + b"view")) if node.running else None
            if isinstance(packed, bytes):
                self.standing.take(unpack(packed))
        return self.standing.view


def run_to_end(conversation: GroupSteps[Any]) -> Any:
    """Return what a conversation returns that asks for nothing."""
    try:
        next(conversation)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it asked for something")


def without(view: View, *lost: str) -> Goal:
    """Return the goal in which some nodes are gone."""
    members = tuple(replace(member, state=LOST) if member.id in lost else member for member in view.members)
    left = [RingNode(member.id) for member in members if member.id not in lost and member.state == "up"]
    copies = min(view.replicas, len(left))
    return Goal(members, tuple(propose(view.slots, left, copies, view.table)), "a test", is_urgent=True)
