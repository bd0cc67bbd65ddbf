"""One conversation, many nodes: calls go to the primaries of what they name, and count once W copies have the change.

A protocol is written for one node. Here it is led through a mesh of several: each of its calls is split by slot, each
part carries the epoch of the view by which it was split, and every replica compares that. So a part is executed by the
primary of its slots, or by nobody. What it changed comes back behind the reply and is brought to the backups; the
protocol hears the reply when W copies have it, and so do those who wait for it and idle children who were given a
message (PacificA, MSR-TR-2008-25; Viewstamped Replication Revisited, section 4).
Too few: it hears `NoAnswer`, and repeats the call, as it does when an answer is lost; a repeat tells the same changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from taskmesh.core import keys
from taskmesh.core.script import Script, load_script
from taskmesh.core.steps import (
    OUT,
    Call,
    NoAnswer,
    NodeError,
    Pause,
    Refused,
    Reply,
    Request,
    Round,
    Session,
    Steps,
    all_answered,
)
from taskmesh.replication.away import Away
from taskmesh.replication.changes import TOLD, Changes, Entry, read_changes
from taskmesh.replication.copy import Copy
from taskmesh.replication.functions import fetch_functions
from taskmesh.replication.home import at_home
from taskmesh.replication.packed_view import unpack
from taskmesh.replication.pieces import APPLY, Sorted, ask_for_copies, bring, sort_copies
from taskmesh.replication.route_commands import route_plain
from taskmesh.replication.routes import Pinned, Routed, route
from taskmesh.replication.standing import Standing
from taskmesh.replication.view import View

T = TypeVar("T")
Spread = Generator[Round | Pause, Sequence[Reply], T]

HAND_OVER = load_script("taskmesh.replication", "hand_over")
#: How often the view is read again within one call before the protocol is told that nobody could do it.
LOOKS_MAX = 20
LOOK_AGAIN_S = 0.05
#: What the protocol is told when a change was made that does not count yet; it repeats it, and knows that it does.
_TOO_FEW = "fewer copies than must have it could be reached"
_BY_ANOTHER_VIEW = "the view changed before enough copies had it"
#: What stands for a node that did not answer.
_SILENT = (Refused, NoAnswer)
#: The letter of an entry that a backup has.
_HAS = ord("o")


def _always() -> bool:
    return True


def spread(
    steps: Steps[T],
    standing: Standing,
    node: str = "",
    may_go_on: Callable[[], bool] = _always,
    away: Away | None = None,
) -> Spread[T]:
    """Run a protocol on a mesh of several nodes.

    Args:
        steps: The protocol, as for one node.
        standing: The view; a newer one that is heard of is taken over.
        node: For what is one node's own (a claim, a heartbeat): calls go there, and are not split.
        may_go_on: Tells whether the caller has time left, to wait for a view that counts. When he has not, what was
            asked by an old one has no answer.
        away: For a protocol that only looks, and is to be told what the others say where some nodes do not answer;
            these are noted here, and not asked again.
    """
    try:
        request: Request = next(steps)
        while True:
            if isinstance(request, Pause):
                yield request
                request = steps.send([])
            else:
                request = steps.send((yield from _perform(request, standing, node, may_go_on, away)))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


class _Part:
    """One call of the protocol, split."""

    __slots__ = ("call", "done", "routed", "subs")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.done: Reply = OUT
        self.subs: list[Call] = []
        self.routed = Routed([], _only)

    def split(self, view: View, node: str, home: str) -> None:
        call = self.call
        script = call.script
        checked = script is not None and script.checks_epoch
        args = call.args[2:] if checked else call.args
        to = call.node or node
        routed = Routed([(to, args)], _only) if to else _route(call, view, args, home)
        front = (view.epoch, call.args[1]) if checked else ()
        self.subs = [
            Call(script, call.prefix, (*front, *part), call.patience_s, to_node)
            for to_node, part in routed.calls
        ]
        self.routed = routed

    def merged(self, replies: Sequence[Reply], away: Away | None) -> Reply:
        """Return one reply made of those of the nodes; of a look, without those that are away."""
        if away is not None:
            away.note([sub.node for sub in self.subs], replies)
            replies = away.filled(replies, self.routed.blank)
        return self.routed.merge(replies)


def _only(replies: Sequence[Any]) -> Any:
    return replies[0]


def _route(call: Call, view: View, args: tuple[bytes, ...], home: str) -> Routed:
    script = call.script
    try:
        return route(script.name, view, args) if script is not None else route_plain(view, call.prefix, args)
    except Pinned:
        if not home:
            raise
        return at_home(call, view, args, home)


def _perform(
    calls: list[Call], standing: Standing, node: str, may_go_on: Callable[[], bool], away: Away | None
) -> Spread[list[Reply]]:
    parts = [_Part(call) for call in calls]
    looks = 0
    while True:
        view = standing.view
        waiting = [part for part in parts if part.done is OUT]
        for part in waiting:
            part.split(view, node, standing.home)
        subs = [sub for part in waiting for sub in part.subs]
        if away is None:
            replies = yield Round(subs, all_answered)
        else:
            replies = yield from away.ask(subs)
        answers = iter(zip(subs, replies, strict=True))
        told: list[tuple[_Part, list[Reply], list[Changes]]] = []
        for part in waiting:
            plain, changes, stale = _unwrap([next(answers) for _ in part.subs], view)
            if not stale:
                told.append((part, plain, changes))
            elif changes:
                part.done = NoAnswer(_BY_ANOTHER_VIEW)
        counts, stale = yield from _replicate(
            [each for _, _, changes in told for each in changes], standing, view
        )
        at = 0
        for part, plain, changes in told:
            mine, at = counts[at : at + len(changes)], at + len(changes)
            if all(mine):
                part.done = part.merged(plain, away)
            else:
                part.done = NoAnswer(_BY_ANOTHER_VIEW if stale else _TOO_FEW)
        is_stale = any(part.done is OUT for part in parts)
        if not is_stale:
            silent = {
                sub.node: reply for sub, reply in zip(subs, replies, strict=True) if type(reply) in _SILENT
            }
            if (silent or any(type(part.done) in _SILENT for part in parts)) and may_go_on():
                # who is dead does not tell of the view that goes on without it; the protocol repeats by that one
                refusing = [node for node, reply in silent.items() if type(reply) is Refused]
                yield from look_for_newer(standing, silent, refusing, away)
            return [part.done for part in parts]
        if looks == LOOKS_MAX or not may_go_on():
            for part in parts:
                if part.done is OUT:
                    part.done = NoAnswer(f"the mesh is changing its view; ours is {standing.view.number}")
            return [part.done for part in parts]
        looks += 1
        if not (yield from look_for_newer(standing)):
            yield Pause(LOOK_AGAIN_S)


def look_for_newer(
    standing: Standing,
    without: Collection[str] = (),
    refusing: Collection[str] = (),
    away: Away | None = None,
) -> Spread[bool]:
    """Ask the nodes for their view, and tell whether one has a newer one, which is taken over.

    Args:
        standing: The view.
        without: Who need not be asked.
        refusing: Of these, who refused. Their servers may have been started anew, and be members of a newer view.
        away: Of a look: who did not answer it before is not asked, and who does not answer now is noted.
    """
    view = standing.view
    silent = without if away is None else {*without, *away.why}
    nodes = [member.id for member in view.members if member.id not in silent]
    replies = yield from _ask_for_view(standing, nodes)
    if away is not None:
        away.note(nodes, replies)
    newer = _newest(replies, view)
    if newer is None:
        refused = {node for node, reply in zip(nodes, replies, strict=True) if type(reply) is Refused}
        refused.update(refusing)
        # by its address one speaks with whatever process answers there; a view that it tells was agreed upon
        places = [member.address for member in view.members if member.id in refused]
        newer = _newest((yield from _ask_for_view(standing, places)), view) if places else None
    return newer is not None and standing.take(newer)


def _ask_for_view(standing: Standing, nodes: Sequence[str]) -> Spread[Sequence[Reply]]:
    if not nodes:
        return ()
    prefix, view = standing.session.prefix, standing.view
    words = (b"GET", keys.view(prefix))
    return (
        yield Round(
            [Call(None, prefix, words, node=node) for node in nodes],
            # one that tells a newer view is enough; nobody waits for the dead
            lambda so_far: all_answered(so_far) or _newest(so_far, view) is not None,
        )
    )


def _newest(replies: Sequence[Reply], than: View) -> View | None:
    best = None
    for reply in replies:
        if isinstance(reply, bytes):
            found = unpack(reply)
            if found.number > (best or than).number:
                best = found
    return best


def _unwrap(answers: list[tuple[Call, Reply]], view: View) -> tuple[list[Reply], list[Changes], bool]:
    """Return the plain replies to one call, what they changed, and whether the view they were split by is old."""
    plain: list[Reply] = []
    changes: list[Changes] = []
    is_stale = False
    for sub, reply in answers:
        is_stale = is_stale or (isinstance(reply, NodeError) and reply.text.startswith("STALEVIEW"))
        checks = sub.script is not None and sub.script.checks_epoch
        if checks and isinstance(reply, list) and reply[:1] == [TOLD]:
            told = read_changes(sub.node, reply, view)
            if told.entries or told.notices:
                changes.append(told)
            plain.append(reply[1])
        else:
            plain.append(reply)
    return plain, changes, is_stale


class _Copying:
    """Counts, for what was changed on some primaries, how many copies have it."""

    def __init__(self, all_changes: Sequence[Changes], view: View, session: Session) -> None:
        self.entries: list[tuple[Entry, str]] = [
            (entry, changes.primary) for changes in all_changes for entry in changes.entries
        ]
        self.missing = [view.copies_needed(entry.slot) - 1 for entry, _ in self.entries]
        self.view = view
        self.session = session
        self.calls: list[Call] = []
        #: of each call: the entry that each letter of its answer is about; None for what only goes before one
        self._about: list[list[int | None]] = []
        self.is_stale = False

    def send_to_all(self) -> None:
        """Make the calls to the backups."""
        for_node: dict[str, list[int]] = {}
        for at, (entry, _) in enumerate(self.entries):
            for backup in self.view.backups(entry.slot):
                for_node.setdefault(backup, []).append(at)
        for node, ats in for_node.items():
            self.send(node, [(self.entries[at][0].words, at) for at in ats])

    def send(self, node: str, entries: Sequence[tuple[Sequence[bytes], int | None]]) -> None:
        """Make a call with entries, each of them about one of ours or about none."""
        words = [word for each, _ in entries for word in each]
        self.calls.append(self.call(APPLY, node, *words))
        self._about.append([at for _, at in entries])

    def call(self, script: Script, node: str, *args: bytes) -> Call:
        """Return a call in the view by which all of this goes."""
        session = self.session
        return Call(script, session.prefix, (self.view.epoch, b"%d" % session.now_ms(), *args), node=node)

    def enough(self, replies: Sequence[Reply]) -> bool:
        """Tell whether W copies have everything, or nobody is left who could say so."""
        if OUT not in replies:
            return True
        missing = list(self.missing)
        for at in self._had(replies):
            missing[at] -= 1
        return all(count <= 0 for count in missing)

    def _had(self, replies: Sequence[Reply]) -> Iterator[int]:
        for reply, about in zip(replies, self._about, strict=True):
            if isinstance(reply, bytes):
                yield from (
                    at for letter, at in zip(reply, about, strict=True) if letter == _HAS and at is not None
                )

    def take(self, replies: Sequence[Reply]) -> list[tuple[str, int]]:
        """Count what was answered, and return which nodes need the whole of which entries."""
        for at in self._had(replies):
            self.missing[at] -= 1
        needed = []
        for call, reply, about in zip(self.calls, replies, self._about, strict=True):
            if isinstance(reply, NodeError) and reply.text.startswith("STALEVIEW"):
                self.is_stale = True
            if isinstance(reply, bytes):
                needed += [
                    (call.node, at)
                    for letter, at in zip(reply, about, strict=True)
                    if letter != _HAS and at is not None
                ]
        self.calls, self._about = [], []
        return needed

    def take_brought(self, about: Sequence[tuple[str, int]], brought: Mapping[str, Reply]) -> None:
        """Count the copies that were brought in pieces: which nodes needed it for which entries, and what they said."""
        for node, at in about:
            answer = brought[node]
            if answer == b"o":
                self.missing[at] -= 1
            elif isinstance(answer, NodeError) and answer.text.startswith("STALEVIEW"):
                self.is_stale = True

    @property
    def is_done(self) -> bool:
        """Whether W copies have everything."""
        return all(count <= 0 for count in self.missing)


def _replicate(
    all_changes: Sequence[Changes], standing: Standing, view: View
) -> Spread[tuple[list[bool], bool]]:
    """Bring changes to the backups; return, for each, whether W copies have it, and whether the view is old."""
    copying = _Copying(all_changes, view, standing.session)
    copying.send_to_all()
    if copying.calls:
        needed = copying.take((yield Round(copying.calls, copying.enough)))
        if needed and not copying.is_done and not copying.is_stale:
            yield from _send_whole(copying, needed)
    done, at = [], 0
    for changes in all_changes:
        done.append(all(count <= 0 for count in copying.missing[at : at + len(changes.entries)]))
        at += len(changes.entries)
    tellings = [
        telling
        for changes, is_done in zip(all_changes, done, strict=True)
        if is_done
        for telling in _tellings(changes, copying)
    ]
    if tellings:
        # one that is lost is made up for by reading, as after a lost connection, or by the child's next claim
        yield Round(tellings, all_answered)
    return done, copying.is_stale


def _tellings(changes: Changes, copying: _Copying) -> Iterator[Call]:
    """Make the calls that tell others of what counts now."""
    prefix = copying.session.prefix
    for channel, notice in changes.notices:
        yield Call(None, prefix, (b"PUBLISH", keys.channel(prefix, channel), notice), node=changes.primary)
    for words in changes.handed:
        yield copying.call(HAND_OVER, changes.primary, *words)


def _send_whole(copying: _Copying, needed: list[tuple[str, int]]) -> Spread[None]:
    """Fetch from the primaries what backups lack, and send it to them; as much at a time as one step bears."""
    left = needed
    while left and not copying.is_done and not copying.is_stale:
        left = yield from _send_some(copying, left)


def _send_some(copying: _Copying, needed: list[tuple[str, int]]) -> Spread[list[tuple[str, int]]]:
    """Send what one answer of each primary bears, and return what is left."""
    wanted: dict[str, dict[bytes, None]] = {}
    for _, at in needed:
        entry, primary = copying.entries[at]
        wanted.setdefault(primary, {})[entry.task_id] = None
    replies = yield Round(
        [ask_for_copies(copying.call, primary, ids) for primary, ids in wanted.items()], all_answered
    )
    told = {
        primary: sort_copies(list(ids), reply)
        for (primary, ids), reply in zip(wanted.items(), replies, strict=True)
        if isinstance(reply, list)
    }
    holders = {
        copy.function: primary
        for primary, found in told.items()
        for copy in (*found.whole, *found.large)
        if copy.function
    }
    functions = yield from fetch_functions(copying.session.prefix, holders)
    _send_found(copying, needed, told, functions)
    if copying.calls:
        copying.take((yield Round(copying.calls, copying.enough)))
    for primary, found in told.items():
        for copy in found.large:
            about = [(node, at) for node, at in needed if copying.entries[at][0].task_id == copy.task_id]
            brought = yield from bring(copying.call, primary, dict(about), copy, functions)
            copying.take_brought(about, brought)
    later = {task_id for found in told.values() for task_id in found.later}
    return [(node, at) for node, at in needed if copying.entries[at][0].task_id in later]


def _send_found(
    copying: _Copying,
    needed: list[tuple[str, int]],
    told: dict[str, Sorted],
    functions: dict[bytes, bytes],
) -> None:
    """Make the calls that send what came as a whole."""
    copies: dict[bytes, Copy] = {copy.task_id: copy for found in told.values() for copy in found.whole}
    for node in dict(needed):
        entries: list[tuple[Sequence[bytes], int | None]] = []
        for at in [at for to, at in needed if to == node]:
            copy = copies.get(copying.entries[at][0].task_id)
            if copy is not None:
                blob = functions.get(copy.function)
                if blob is not None:
                    entries.append(((b"f", copy.function, blob), None))
                entries.append((copy.entry(), at))
                entries += [(words, None) for words in copy.beside()]
        if entries:
            copying.send(node, entries)
