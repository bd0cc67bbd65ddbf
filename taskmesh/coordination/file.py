"""Small files: read, write by compare-and-set, delete, list, and see what changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from taskmesh.consensus.listing import anew, changes
from taskmesh.consensus.registers import Versioned
from taskmesh.coordination.ending import bury
from taskmesh.coordination.file_state import (
    NOBODY,
    PREFIX,
    FileState,
    deleted,
    orphaned,
    read_file_state,
    written,
)
from taskmesh.coordination.means import Means, WaitingSteps
from taskmesh.coordination.session import read_state, register_of
from taskmesh.coordination.token import next_token
from taskmesh.core.steps import GroupSteps

WRITTEN: Final = "written"
DELETED: Final = "deleted"


@dataclass(frozen=True, slots=True)
class File:
    """A file, as it was when it was read.

    Attributes:
        path: Where.
        data: The content.
        version: It grows with each change, also when the file is deleted and made again; what `if_version` is about.
        instance: Another number each time that the file is made.
        generation: 1 for the first content of an instance, 1 more for each that follows.
        ephemeral: Whether it vanishes with the process that made it.
        fence: The highest token that it was written with; 0 if none was.
    """

    path: str
    data: bytes
    version: int
    instance: int
    generation: int
    ephemeral: bool
    fence: int

    @property
    def text(self) -> str:
        """The content as text.

        Raises:
            UnicodeDecodeError: It is no UTF-8.
        """
        return self.data.decode()


@dataclass(frozen=True, slots=True)
class FileEvent:
    """What happened to a file, as far as it was seen: of several changes in a short time the last is told.

    Attributes:
        kind: `written` or `deleted`.
        path: Of the file.
        file: What it is now; None when it was deleted.
    """

    kind: str
    path: str
    file: File | None


@dataclass(frozen=True, slots=True)
class Writing:
    """What is to be written.

    Attributes:
        path: Where.
        data: What.
        if_version: At which version the file must be; 0: it must not exist; None: whatever it is.
        fence: A token; None for none.
        session: With which a new file vanishes; None to leave that as it is.
    """

    path: str
    data: bytes
    if_version: int | None = None
    fence: int | None = None
    session: bytes | None = None


def _file(register: str, found: Versioned) -> File | None:
    state = read_file_state(found)
    if state.data is None:
        return None
    return File(
        register.removeprefix(PREFIX),
        state.data,
        found.version,
        state.instance,
        state.generation,
        state.owner != NOBODY,
        state.fence,
    )


def read_files(means: Means, registers: Iterable[str]) -> GroupSteps[dict[str, File | None]]:
    """Return files by their registers; None for one that does not exist, or whose session is dead.

    Raises:
        NoMajority: Too few acceptors answered.
    """
    names = list(registers)
    found = yield from means.registers.read_many(names)
    files = {name: _file(name, found[name]) for name in names}
    owners = {
        name: read_file_state(found[name]).owner
        for name, file in files.items()
        if file is not None and file.ephemeral
    }
    dead = yield from dead_among(means, set(owners.values()))
    return {name: None if owners.get(name) in dead else file for name, file in files.items()}


def dead_among(means: Means, sessions: set[bytes]) -> GroupSteps[set[bytes]]:
    """Return those that are known to be dead; a file must not outlive its owner for whoever reads it."""
    if not sessions:
        return set()
    found = yield from means.registers.read_many([register_of(session) for session in sorted(sessions)])
    states = {session: read_state(found[register_of(session)]) for session in sessions}
    return {session for session, state in states.items() if state is None or state.dead}


def read(means: Means, path: str) -> GroupSteps[File | None]:
    """Return a file, no older than when this was asked; None if there is none.

    Raises:
        NoMajority: Too few acceptors answered.
    """
    register = PREFIX + path
    files = yield from read_files(means, [register])
    return files[register]


def write(means: Means, writing: Writing) -> WaitingSteps[File]:
    """Write a file, and return it.

    Raises:
        VersionConflict: It is at another version; or it exists, and vanishes with somebody else.
        Fenced: The token is older than one that was used since, or none was given where others were.
        ChangeRejected, ChangeUnknown: As `Registers.change`.
    """
    register, instance, alive = PREFIX + writing.path, 0, NOBODY
    while True:
        change = written(
            writing.path,
            writing.data,
            if_version=writing.if_version,
            fence=writing.fence,
            owner=writing.session,
            instance=instance,
            alive=alive,
        )
        changed = yield from means.registers.change(register, change, means.operation())
        if not changed.answer:
            return _written(register, writing, changed.version, changed.content)
        if changed.answer == b"new":
            instance = yield from next_token(means)
        elif (yield from dead_among(means, {changed.answer})):
            yield from bury_owner(means, changed.answer, register)
        else:
            alive = changed.answer


def _written(register: str, writing: Writing, version: int, content: bytes | None) -> File:
    state = FileState(None) if content is None else read_file_state(Versioned(version, content))
    return File(
        register.removeprefix(PREFIX),
        writing.data,
        version,
        state.instance,
        state.generation,
        state.owner != NOBODY,
        state.fence,
    )


def bury_owner(means: Means, session: bytes, register: str) -> GroupSteps[None]:
    """Remove what belongs to a session that is dead, this file at least.

    Raises:
        ChangeRejected, ChangeUnknown: Something may still be there.
    """
    found = yield from means.registers.read(register_of(session))
    state = read_state(found)
    if state is not None:
        yield from bury(means, session, state)
    yield from means.registers.change(register, orphaned(session), means.operation())


def delete(means: Means, path: str, *, if_version: int | None, fence: int | None) -> GroupSteps[bool]:
    """Delete a file, and tell whether there was one.

    Raises:
        As `write`.
    """
    change = deleted(path, if_version=if_version, fence=fence)
    changed = yield from means.registers.change(PREFIX + path, change, means.operation())
    return changed.answer == b"deleted"


def list_files(means: Means, prefix: str) -> GroupSteps[list[File]]:
    """Return the files whose path begins so, sorted.

    Raises:
        NoMajority: Too few acceptors answered.
    """
    told, _ = yield from changes(means.registers, {}, PREFIX + prefix)
    files = yield from read_files(means, sorted(told))
    return [file for file in files.values() if file is not None]


@dataclass(slots=True)
class Changes:
    """Which files changed since one looked last. Belongs to one who looks now and then.

    Attributes:
        since: Up to what registers have been heard of.
        known: Registers of files that may exist.
    """

    since: Mapping[str, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def look(self, means: Means, prefixes: Iterable[str]) -> GroupSteps[dict[str, File | None]]:
        """Return files that changed, or may have, by their paths; None for those that do not exist.

        Args:
            means: Of this process.
            prefixes: Only paths which begin so.

        Raises:
            NoMajority: Too few acceptors answered; nothing is missed by asking again.
        """
        wanted = tuple(PREFIX + prefix for prefix in prefixes)
        told, since = yield from changes(means.registers, self.since, PREFIX)
        changed, known = told, self.known | told
        if anew(self.since, since):
            # what was deleted was left behind with the acceptors of before, and is not told
            changed, known = known, told
        files = yield from read_files(means, sorted(name for name in changed if name.startswith(wanted)))
        self.since, self.known = since, known
        return {name.removeprefix(PREFIX): file for name, file in files.items()}
