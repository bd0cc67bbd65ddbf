"""The register of the view: what acceptors agreed upon, and how a leader reads and writes it among other things."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from taskmesh.consensus.registers import Change, Changed, Keep, Operation, Verdict, Versioned, Write
from taskmesh.core.steps import GroupSteps, Pause, Reply, Round
from taskmesh.errors import ChangeUnknown, VersionConflict
from taskmesh.replication.packed_view import joined, pack, parts_of, split, unpack
from taskmesh.replication.view import View

T = TypeVar("T")

#: The register's name; the parts of a large view stand beside it, see `packed_view.PART`.
VIEW = "view"
OPERATION_BYTES = 16
#: How often a change is tried again of which nobody knows whether it was made.
UNKNOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Agreed:
    """Asked for by a conversation with nodes: hold this one, with the acceptors, and send back what it returns.

    What it raises is to be raised where it was asked for.
    """

    steps: GroupSteps[Any]


#: A conversation with nodes, and now and then with acceptors.
ViewSteps = Generator[Round | Pause | Agreed, Any, T]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the register holds.

    Attributes:
        version: Of the register; 0 if it does not exist.
        view: None if it does not exist.
    """

    version: int
    view: View | None


class Registers(Protocol):
    """What is asked of registers, as `consensus.registers.Registers` has it."""

    def read(self, name: str, /) -> GroupSteps[Versioned]:
        """Return what a register holds."""
        ...

    def change(self, name: str, change: Change, operation: Operation, /) -> GroupSteps[Changed]:
        """Change a register by a function of what it holds."""
        ...

    def compare_and_set(
        self, name: str, content: bytes, if_version: int, operation: Operation, /
    ) -> GroupSteps[Changed]:
        """Write a register if it stands at a version."""
        ...


class ViewRegister:
    """Reads and writes the view."""

    def __init__(self, registers: Registers, random_bytes: Callable[[int], bytes]) -> None:
        """Prepare.

        Args:
            registers: Of the mesh.
            random_bytes: For the ids of changes.
        """
        self._registers = registers
        self._random_bytes = random_bytes

    def read(self) -> GroupSteps[Kept]:
        """Return what the register holds.

        Raises:
            NoMajority: Too few acceptors answered.
            Malformed, NewerFormat: It cannot be read.
        """
        while True:
            found = yield from self._registers.read(VIEW)
            if found.content is None:
                return Kept(found.version, None)
            parts = {}
            # the same part may be in a view more than once
            needed = set(parts_of(found.content))
            for name in sorted(needed):
                part = yield from self._registers.read(name)
                if part.content is not None:
                    parts[name] = part.content
            if len(parts) == len(needed):
                return Kept(found.version, unpack(joined(found.content, parts)))
            # a newer one has taken its place since, and its parts are gone; else this says what is wrong
            again = yield from self._registers.read(VIEW)
            if again == found:
                unpack(joined(found.content, parts))

    def check(self, version: int) -> GroupSteps[None]:
        """See that the register still stands at a version.

        Raises:
            VersionConflict: It stands at another one: somebody else has changed the view.
            NoMajority: Too few acceptors answered.
        """
        found = yield from self._registers.read(VIEW)
        if found.version != version:
            raise VersionConflict(
                f"the view was changed by somebody else: its register stands at version {found.version}, not {version}",
                register=VIEW,
                version=found.version,
            )

    def write(self, view: View, if_version: int) -> GroupSteps[Kept]:
        """Write a view, if the register stands at a version.

        Raises:
            VersionConflict: It stands at another one: somebody else has changed the view.
            NoMajority: Too few acceptors answered; it is certainly not written.
            ChangeUnknown: It may be written, or may be later.
        """
        content, parts = split(pack(view), if_version)
        for name, part in parts.items():
            yield from self._certainly(partial(self._registers.change, name, _put(part)))
        changed = yield from self._certainly(
            partial(self._registers.compare_and_set, VIEW, content, if_version)
        )
        return Kept(changed.version, view)

    def _certainly(self, make: Callable[[Operation], GroupSteps[Changed]]) -> GroupSteps[Changed]:
        operation = Operation(self._random_bytes(OPERATION_BYTES))
        left = UNKNOWN_MAX
        while True:
            try:
                return (yield from make(operation))
            except ChangeUnknown:
                left -= 1
                if not left:
                    raise


def _put(part: bytes) -> Change:
    def put(found: Versioned) -> Verdict:
        return Keep() if found.content == part else Write(part)

    return put


def hold(
    steps: ViewSteps[T],
    with_nodes: Callable[[Round | Pause], Sequence[Reply]],
    with_acceptors: Callable[[GroupSteps[Any]], Any],
) -> T:
    """Hold a conversation with nodes and acceptors to its end, and return its result.

    Args:
        steps: The conversation.
        with_nodes: Performs one round with nodes, or waits, and returns the replies.
        with_acceptors: Holds a whole conversation with acceptors, and returns its result.
    """
    try:
        request = next(steps)
        while True:
            if not isinstance(request, Agreed):
                request = steps.send(with_nodes(request))
                continue
            try:
                result = with_acceptors(request.steps)
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs where it was asked for
                request = steps.throw(error)
            else:
                request = steps.send(result)
    except StopIteration as stop:
        result_of: T = stop.value
        return result_of
