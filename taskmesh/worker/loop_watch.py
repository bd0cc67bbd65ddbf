"""Notices that an event loop is blocked, and by which task: a thread looks at the loop's heartbeat.

A task that computes, or that calls what blocks, without an `await` keeps all others from going on.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

log = logging.getLogger("taskmesh.worker")

#: How often the loop's heart beats, and how often the thread looks.
BEAT_S = 0.25
#: A loop that serves nobody for longer is reported.
BLOCKED_S = 1.0
#: What was on the stack of a blocked loop, from its innermost frames.
FRAMES_MAX = 12


class LoopWatch:
    """Watches one loop, and reports once per blocking."""

    def __init__(self, loop: asyncio.AbstractEventLoop, names: Callable[[], str]) -> None:
        """Prepare; `start` is called on the loop.

        Args:
            loop: Its heart beats as long as it runs callbacks.
            names: Returns which task holds the loop just now, in words for a log; called by the watching thread.
        """
        self._loop = loop
        self._names = names
        self._loop_thread = 0
        self._beat_s = time.monotonic()
        self._reported_s = 0.0
        self._woke_s = 0.0
        self._ending = threading.Event()

    def start(self) -> None:
        """Begin to watch; called on the loop."""
        self._loop_thread = threading.get_ident()
        self._beat()
        threading.Thread(target=self._watch, name="taskmesh-loop-watch", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._ending.set()

    def _beat(self) -> None:
        self._beat_s = time.monotonic()
        self._loop.call_later(BEAT_S, self._beat)

    def _watch(self) -> None:
        looked_s, used_s = time.monotonic(), time.process_time()
        while not self._ending.wait(BEAT_S):
            now_s, now_used_s = time.monotonic(), time.process_time()
            if was_stopped(now_s - looked_s, now_used_s - used_s):
                # that is nobody's fault; a loop which is blocked goes on to be, and is reported a little later
                self._woke_s = now_s
            else:
                self._look(now_s)
            looked_s, used_s = now_s, now_used_s

    def _look(self, now_s: float) -> None:
        beat_s = self._beat_s
        silent_s = now_s - max(beat_s, self._woke_s)
        if silent_s < BLOCKED_S + BEAT_S or beat_s == self._reported_s:
            return
        self._reported_s = beat_s
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the way to another thread's stack
        stack = "".join(traceback.format_stack(frame)[-FRAMES_MAX:]) if frame is not None else ""
        log.warning(
            "the event loop of this pool has been blocked for %.1f s by %s: nothing else goes on there. It should "
            "await, or be a plain function, which runs in a thread. It stands at:\n%s",
            silent_s,
            self._names(),
            stack.rstrip(),
        )


def was_stopped(seconds: float, used_s: float) -> bool:
    """Tell whether the whole process stood still rather than its loop.

    Args:
        seconds: How long the watching thread slept, which should have been `BEAT_S`.
        used_s: How much the process has computed meanwhile. Code that keeps the interpreter's lock lets no thread
            look either, but computes as a rule.
    """
    return seconds > BLOCKED_S and used_s < seconds / 2
