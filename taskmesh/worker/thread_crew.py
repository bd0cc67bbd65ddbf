"""Runs messages in threads of this process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from taskmesh.queue.claim import Claimed
from taskmesh.queue.commit import RELEASED
from taskmesh.worker.called_off import CallOffs, Message
from taskmesh.worker.crew import NO_THREAD_PAUSE_S, OnEnd, end_process
from taskmesh.worker.own_loop import close_loop_of_this_thread, run_in_this_thread
from taskmesh.worker.runner import Runner

log = logging.getLogger("taskmesh.worker")

#: How long threads may take to close their event loops when the child ends.
CLOSE_S = 1.0


class ThreadCrew:
    """As many threads as messages have ever run at once."""

    def __init__(self, runner: Runner, slots: int, on_end: OnEnd, call_offs: CallOffs) -> None:
        """Prepare.

        Args:
            runner: Runs a message.
            slots: How many messages run at once at most.
            on_end: Told how each ended.
            call_offs: The runs that are called off.
        """
        self._runner = runner
        self._slots = slots
        self._on_end = on_end
        self._call_offs = call_offs
        self._work: SimpleQueue[Claimed | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        """See `Crew`."""

    def start(self, batch: Sequence[Claimed]) -> None:
        """See `Crew`."""
        left: list[Claimed] = []
        for claimed in batch:
            if self._idle.acquire(blocking=False) or len(self._threads) >= self._slots or self._grow():
                self._work.put(claimed)
            else:
                left.append(claimed)
        if left:
            time.sleep(NO_THREAD_PAUSE_S)
            for claimed in left:
                self._on_end(claimed, RELEASED, b"")

    def _grow(self) -> bool:
        """Start one more thread, and tell whether the machine gives one."""
        name = f"taskmesh-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._live, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.warning("a message goes back, not begun: %s", error)
            return False
        self._threads.append(thread)
        return True

    def reach(self, message: Message) -> None:
        """See `Crew`."""
        self._call_offs.reach_thread(message)
        self._call_offs.reach_loop_of_thread(message)

    def run_coroutine(self, coroutine: Any) -> Any:
        """See `Crew`."""
        return run_in_this_thread(coroutine)

    def close(self) -> None:
        """See `Crew`."""
        for _ in self._threads:
            self._work.put(None)
        until_s = time.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        close_loop_of_this_thread()

    def _live(self) -> None:
        try:
            while (claimed := self._work.get()) is not None:
                letter, outcome = self._runner.run(
                    claimed.task_id.decode(errors="backslashreplace"),
                    claimed.token.decode(),
                    claimed.record,
                    self._call_offs.reachable,
                )
                # idle before the child may give it more, or that would start another thread
                self._idle.release()
                self._on_end(claimed, letter, outcome)
            close_loop_of_this_thread()
        except BaseException as error:  # noqa: BLE001 - the edge of the thread
            end_process(error)
