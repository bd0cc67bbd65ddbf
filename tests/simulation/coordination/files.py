"""Small files: what clients do, and what must hold.

F1: an instance's generations grow by one, each instance has a number of its own, and fences never go back. F2: no
update by compare-and-set is lost. F3: a file that vanishes with its owner does not while the owner lives, and does (F4)
when the owner is dead. F5: what is read was so at some moment while it was asked for. F6: what a watcher is told never
goes back, and in the end he knows how things are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskmesh.client.files import _write_ephemeral
from taskmesh.consensus.registers import Versioned
from taskmesh.coordination.file import Writing, delete, read, write
from taskmesh.coordination.file_state import NOBODY, PREFIX, FileState, read_file_state, version_of
from taskmesh.coordination.session import read_state, register_of
from taskmesh.core.steps import Pause
from taskmesh.errors import AgreementError, ChangeUnknown, Fenced, VersionConflict
from tests.simulation.agreement.checkers.broken import BrokenPromise
from tests.simulation.agreement.checkers.chain import Chosen
from tests.simulation.agreement.clients import Steps
from tests.simulation.coordination.world import QUIET_S, TTL_S, CoordinationWorld

if TYPE_CHECKING:
    from tests.simulation.coordination.peers import Peer

COUNT, SHARED, FENCED, OWN = "count", "shared", "fenced", "own/"


class Filer:
    """A client that reads and writes files."""

    def __init__(self, peer: Peer, judge: FileJudge) -> None:
        self.peer = peer
        self.judge = judge
        self.world = peer.world
        self.random = peer.world.random

    def work(self) -> Steps:
        """Do something some times; when there are no more faults, count once more and for certain."""
        rates = self.world.rates
        kinds = [self._count, self._count, self._share, self._remove, self._own, self._read, self._fence]
        for _ in range(rates.changes * 3):
            yield Pause(self.random.random() * rates.long_s / 6)
            if self.world.faulty:
                yield from self._tried(self.random.choice(kinds)())
        while not (yield from self._tried(self._count())):
            yield Pause(self.random.random())

    def _tried(self, steps: Steps) -> Steps:
        try:
            yield from steps
        except (AgreementError, VersionConflict, Fenced):
            return False
        return True

    def _count(self) -> Steps:
        """Count by compare-and-set."""
        found = yield from read(self.peer.means, COUNT)
        number, version = (int(found.data), found.version) if found else (0, 0)
        try:
            yield from write(self.peer.means, Writing(COUNT, b"%d" % (number + 1), version))
        except (ChangeUnknown, GeneratorExit):
            self.judge.perhaps += 1
            raise
        self.judge.counted += 1

    def _share(self) -> Steps:
        """Write what others write as well, or make it if it is not there."""
        only_new = 0 if self.random.random() < 0.3 else None
        yield from write(self.peer.means, Writing(SHARED, self.peer.name.encode(), only_new))

    def _remove(self) -> Steps:
        yield from delete(self.peer.means, SHARED, if_version=None, fence=None)

    def _own(self) -> Steps:
        """Write a file that vanishes with this process; one that died before it may have left one of that name."""
        coordinator: Any = self.peer
        writing = Writing(f"{OWN}{self.peer.index}", self.peer.name.encode())
        yield from _write_ephemeral(coordinator, self.peer.means, writing, TTL_S)

    def _fence(self) -> Steps:
        """Write with a token that may be an old one, or delete so."""
        token = self.random.randrange(1, 50)
        if self.random.random() < 0.3:
            yield from delete(self.peer.means, FENCED, if_version=None, fence=token)
        else:
            yield from write(self.peer.means, Writing(FENCED, b"%d" % token, None, token))

    def _read(self) -> Steps:
        path = self.random.choice(
            (COUNT, SHARED, f"{OWN}{self.random.randrange(self.world.rates.processes)}")
        )
        start_s = self.world.now_s
        found = yield from read(self.peer.means, path)
        self.judge.was_read(path, start_s, 0 if found is None else found.version)


class FileJudge:
    """What must hold.

    Attributes:
        counted: How often it was counted for certain.
        perhaps: How often perhaps.
        vanished: Files that vanished with their owners.
        told: How often a watcher was told of something.
    """

    watches = True
    quiet_s = QUIET_S
    prefix = PREFIX

    def __init__(self, world: CoordinationWorld) -> None:
        self.world = world
        self.counted = self.perhaps = self.vanished = self.told = 0
        self._instances: dict[str, set[int]] = {}
        #: Of each file: since when it has which version; 0 for none.
        self._versions: dict[str, list[tuple[float, int]]] = {}

    def client(self, peer: Peer) -> Filer:
        """Return a client of a process."""
        return Filer(peer, self)

    # -- what is chosen -------------------------------------------------------------------

    def chosen(self, name: str, before: Chosen | None, after: Chosen) -> None:
        """See that a state of a file may follow the one before."""
        old, new = _state(before), _state(after)
        made = after.value.version - (before.value.version if before else 0)
        path = name.removeprefix(PREFIX)
        version = version_of(_versioned(after))
        history = self._versions.setdefault(path, [(0.0, 0)])
        if version != history[-1][1]:
            history.append((self.world.now_s, version))
        if new.fence < old.fence:
            raise BrokenPromise(f"F1: {path}: its token went back from {old.fence} to {new.fence}")
        if new.data is not None and made == 1:
            self._follows(path, old, new)
        if old.data is not None and old.owner not in (NOBODY, new.owner):
            self._vanished(path, old.owner)

    def _follows(self, path: str, old: FileState, new: FileState) -> None:
        instances = self._instances.setdefault(path, set())
        if old.data is not None:
            if (new.instance, new.generation) != (old.instance, old.generation + 1):
                raise BrokenPromise(f"F1: {path}: {new} follows {old}")
        elif new.generation != 1 or new.instance in instances:
            raise BrokenPromise(f"F1: {path}: {new} is new, after instances {sorted(instances)}")
        instances.add(new.instance)

    def _vanished(self, path: str, owner: bytes) -> None:
        self.vanished += 1
        peer = self._peer_of(owner)
        if self.world.obeys and peer.living(owner) is not None:
            raise BrokenPromise(f"F3: {path} vanished while {peer.name} lives")

    def _peer_of(self, session: bytes) -> Peer:
        return self.world.peers[session[:8]]

    # -- what clients were told -----------------------------------------------------------

    def was_read(self, path: str, start_s: float, version: int) -> None:
        """See that a file was at a version while it was asked for."""
        history = self._versions.get(path, [(0.0, 0)])
        at = max(at for at, (since_s, _) in enumerate(history) if since_s <= start_s)
        some = {each for _, each in history[at:]}
        if version not in some and not (version == 0 and self._is_orphan(path)):
            raise BrokenPromise(
                f"F5: {path} was read at version {version}; since {start_s:.3f} s it had {some}"
            )

    def _is_orphan(self, path: str) -> bool:
        """Tell whether a file's owner is dead, as was agreed: then there is none for whoever reads it."""
        owner = read_file_state(Versioned(1, self.world.content(PREFIX + path))).owner
        if owner == NOBODY:
            return False
        state = read_state(Versioned(1, self.world.content(register_of(owner))))
        return state is None or state.dead

    def was_told(self, peer: Peer, path: str, before: int, version: int) -> None:
        """See that a watch tells nothing older than before."""
        self.told += 1
        if version and version <= before:
            raise BrokenPromise(f"F6: {peer.name} was told version {version} of {path} after {before}")

    # -- at the end -----------------------------------------------------------------------

    def judge(self) -> None:
        """See what must hold when there are no more faults."""
        # one whose owner is dead, as was agreed, is not there for whoever asks
        there = {
            path: history[-1][1]
            for path, history in self._versions.items()
            if history[-1][1] and not self._is_orphan(path)
        }
        number = int(read_file_state(Versioned(1, self.world.content(PREFIX + COUNT))).data or b"0")
        if not self.counted <= number <= self.counted + self.perhaps:
            raise BrokenPromise(
                f"F2: it was counted {self.counted} times and perhaps {self.perhaps} times more, and is {number}"
            )
        for path in there:
            owner = read_file_state(Versioned(1, self.world.content(PREFIX + path))).owner
            if owner != NOBODY and self._peer_of(owner).living(owner) is None:
                raise BrokenPromise(f"F4: {path} is still there, and {self._peer_of(owner).name} is dead")
        for peer in self.world.processes:
            for session in peer.sessions.living():
                missing = {register.removeprefix(PREFIX) for register in session.files} - there.keys()
                if missing and not session.lost:
                    raise BrokenPromise(f"F3: {missing} of {peer.name}, which lives, are not there")
            if peer.known_files() != there:
                raise BrokenPromise(
                    f"F6: {peer.name} was told {peer.known_files()} at last; there is {there}"
                )


def _versioned(chosen: Chosen | None) -> Versioned:
    return Versioned(0, None) if chosen is None else Versioned(chosen.value.version, chosen.value.content)


def _state(chosen: Chosen | None) -> FileState:
    return read_file_state(_versioned(chosen))


def files(world: CoordinationWorld) -> FileJudge:
    """Histories of files."""
    return FileJudge(world)
