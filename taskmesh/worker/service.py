"""What systemd, or whoever else started this process as a service, is told of it: ready, the loop turns, it stops.

Each is a datagram to the socket that NOTIFY_SOCKET names (sd_notify(3)). The process tells from its loop, not from a
thread: one that hangs says nothing, and is started anew once WatchdogSec is over. Libraries for this add a dependency
to say less than this file does.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping, Sequence

log = logging.getLogger("taskmesh.worker")

#: How often there may be something to say.
EVERY_S = 1.0
#: The watchdog hears of a turn so many times within its time.
WITHIN = 4
#: Its time is a number of 64 bits.
WATCHDOG_DIGITS = 20
#: A status is a line for people.
STATUS_LENGTH_MAX = 500


class Service:
    """One process, as a service. Where nobody asked to be told, nothing is done.

    Attributes:
        is_heard: Whether somebody asked.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take over what the manager said; whoever is started from here on is not meant by it.

        Args:
            environ: Variables of this process; those of the manager are taken out.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        watchdog_us = environ.pop("WATCHDOG_USEC", "")
        watchdog_pid = environ.pop("WATCHDOG_PID", "")
        self.is_heard = address.startswith(("/", "@"))
        if address and not self.is_heard:
            log.warning(
                "the service manager is not told anything: NOTIFY_SOCKET=%s is no socket here", address
            )
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        within_s = _microseconds(watchdog_us) if watchdog_pid in {"", str(os.getpid())} else 0.0
        self._is_watched = within_s > 0
        self._every_s = min(EVERY_S, within_s / WITHIN) if self._is_watched else EVERY_S
        self._next_s = 0.0
        self._is_ready = False
        self._status = ""

    def turned(
        self, why_not_ready: Callable[[], Sequence[str]], remarks: Callable[[], Sequence[str]] = tuple
    ) -> None:
        """Say that the loop turns, that the process is ready as soon as it is, and what keeps it from that.

        Args:
            why_not_ready: Reasons; none once it is.
            remarks: What is to be known besides.
        """
        now_s = time.monotonic()
        if not self.is_heard or now_s < self._next_s:
            return
        self._next_s = now_s + self._every_s
        reasons = why_not_ready()
        status = "; ".join([*(reasons or ["ready"]), *remarks()])
        becomes_ready = not reasons and not self._is_ready
        words = ["READY=1"] if becomes_ready else []
        if self._is_watched:
            words.append("WATCHDOG=1")
        if status != self._status:
            words.append(f"STATUS={_line(status)}")
        if words and self._tell(words):
            self._is_ready |= becomes_ready
            self._status = status

    def stops(self, status: str) -> None:
        """Say that the process stops."""
        if self.is_heard:
            self._tell(["STOPPING=1", f"STATUS={_line(status)}"])

    def _tell(self, words: Sequence[str]) -> bool:
        """Send one datagram, and tell whether it went: a manager that does not read must not hold up the loop."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(words).encode(errors="replace"), self._address)
        except OSError as error:
            log.debug("the service manager could not be told %s: %s", words, error)
            return False
        return True


def _microseconds(text: str) -> float:
    """Return as many microseconds in seconds; 0, which is for no watchdog, if no manager would say that."""
    return int(text) / 1e6 if text.isascii() and text.isdigit() and len(text) <= WATCHDOG_DIGITS else 0.0


def _line(text: str) -> str:
    return " ".join(text.split())[:STATUS_LENGTH_MAX]
