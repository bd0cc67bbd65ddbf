"""Which handles are to be told of which outcome: by id, weakly, so that an abandoned handle costs nothing."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from taskmesh.client.result import AsyncResult

    _Ref: TypeAlias = weakref.ref[AsyncResult[Any]]
    _Entry: TypeAlias = _Ref | tuple[_Ref, ...]

#: Entries before the first look for handles that nobody holds any more.
PURGE_AT_LEAST = 2000
#: Most records that are read ahead in one go.
AHEAD_MAX = 255


class Expected:
    """The handles that wait to be told, by id. Safe to use from many threads."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        # reentrant: a signal handler or a finalizer may send or wait, too
        self._lock = threading.RLock()
        self._purge_at = PURGE_AT_LEAST
        self._unread: deque[_Entry] = deque()
        self._ahead = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, handle: AsyncResult[Any]) -> None:
        """Expect the outcome of a handle."""
        ref = weakref.ref(handle)
        # One step, so that no lock is needed: `take` and `purge` remove under theirs, and only this one adds.
        found = self._entries.setdefault(handle.id, ref)
        if found is not ref:
            self._add_to(handle.id, ref)
        if len(self._entries) > self._purge_at:
            self.purge()

    def add_new(self, handles: Sequence[AsyncResult[Any]]) -> None:
        """As `add`, for many handles on ids that nobody can know yet."""
        entries = {handle.id: weakref.ref(handle) for handle in handles}
        with self._lock:
            self._entries.update(entries)
        if len(self._entries) > self._purge_at:
            self.purge()

    def _add_to(self, task_id: str, ref: _Ref) -> None:
        """Add one more handle on an id that others wait for, or waited for."""
        with self._lock:
            found = self._entries.setdefault(task_id, ref)
            others = tuple(other for other in _alive(found) if other is not ref)
            self._entries[task_id] = (*others, ref) if others else ref

    def take(self, task_id: str) -> Iterable[AsyncResult[Any]]:
        """Return the handles on an id, and expect nothing for them any more."""
        with self._lock:
            entry = self._entries.pop(task_id, None)
        if entry is None:
            return ()
        if type(entry) is tuple:
            return [handle for ref in entry if (handle := ref()) is not None]
        only: AsyncResult[Any] | None = entry()  # type: ignore[operator]
        return () if only is None else (only,)

    def purge(self) -> None:
        """Drop the handles that nobody holds any more."""
        with self._lock:
            for task_id, entry in self._entries.copy().items():
                if not _alive(entry):
                    del self._entries[task_id]
            self._purge_at = 2 * len(self._entries) + PURGE_AT_LEAST

    def clear(self) -> None:
        """Forget all handles: they are from before a fork, or nobody listens for them any more."""
        with self._lock:
            self._entries.clear()
            self._unread.clear()
            self._purge_at = PURGE_AT_LEAST

    # -- reading ahead ------------------------------------------------------------

    def all_unread(self) -> None:
        """Note that what is expected now must be read once: it was not listened for all the time."""
        with self._lock:
            self._unread = deque(self._entries.copy().values())
            self._ahead = 0

    def read_ahead(self, asked: AsyncResult[Any], round_: int) -> list[AsyncResult[Any]]:
        """Return handles that will probably be asked for after this one: those that were sent after it.

        A caller who sent 5,000 messages and then gets their results one by one thus makes some tens of
        round trips, not 5,000. How many grows with each call: whoever gets one result reads one.
        """
        found: list[AsyncResult[Any]] = []
        with self._lock:
            most, self._ahead = self._ahead, min(2 * self._ahead + 1, AHEAD_MAX)
            while self._unread and len(found) < most:
                for ref in _alive(self._unread.popleft()):
                    handle = ref()
                    if handle is None or handle is asked or handle.round == round_ or handle.is_settled():
                        continue
                    found.append(handle)
        return found


def _alive(entry: _Entry) -> tuple[_Ref, ...]:
    refs: tuple[_Ref, ...] = entry if type(entry) is tuple else (entry,)  # type: ignore[assignment]
    return tuple(ref for ref in refs if ref() is not None)
