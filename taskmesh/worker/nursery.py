"""Where children come from: forked by the template, or each started as a process of its own.

Forking is fast and shares the memory of what the app imported. It is unsafe when that import started threads
(a lock that one of them holds stays locked for ever in the child): children then import the app themselves.
Either way the same news comes out: who began, who ended, and that nobody can be started any more.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Protocol

import msgspec

from taskmesh.errors import UsageError
from taskmesh.worker.early import held
from taskmesh.worker.options import ChildOrder, MeshFacts, WorkerOptions
from taskmesh.worker.wire import Wire

log = logging.getLogger("taskmesh.worker")

START_METHOD_VARIABLE = "TASKMESH_START_METHOD"
FORK, SPAWN = "fork", "spawn"
#: The template ends when its socket is closed; after so long it is ended.
END_S = 5.0


@dataclass(frozen=True, slots=True)
class Began:
    """A child has a process now."""

    number: int
    pid: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A child's process has ended; `code` is negative for a signal."""

    pid: int
    code: int


@dataclass(frozen=True, slots=True)
class Lost:
    """No child can be started or heard of any more; those that lived are dying."""


News = Began | Ended | Lost


class Nursery(Protocol):
    """Starts children and hears of their ends."""

    def watched(self) -> list[int]:
        """Return descriptors that become readable when there may be news (as the wake-up pipe does)."""

    def start(self, order: ChildOrder, page_fd: int) -> None:
        """Have a child started; `Began` follows."""

    def news(self) -> list[News]:
        """Return what has happened since the last call; never blocks."""

    def close(self) -> None:
        """Let go of everything. Children that still live are killed."""


class Template:
    """The process that imports the app, tells what it found, and forks."""

    def __init__(self, options: WorkerOptions) -> None:
        """Start the process."""
        ours, theirs = socket.socketpair()
        self.wire = Wire(ours)
        command = [
            sys.executable,
            "-P",  # a logging.py in the current folder must not stand in for the standard one
            "-m",
            "taskmesh.cli.template",
            str(theirs.fileno()),
            msgspec.json.encode(options).decode(),
            str(os.getpid()),
        ]
        with held():
            self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        theirs.close()

    @property
    def pid(self) -> int:
        """Its process; 0 once it has ended."""
        return self._process.pid if self._process.returncode is None else 0

    def close(self) -> None:
        """End it, and with it, by the kernel, the children that it forked."""
        self.wire.socket.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            log.warning("the template has not ended within %g s (on_worker_stop?); it is killed", END_S)
            self._process.kill()
            self._process.wait()


class Forked:
    """Children forked by the template, which reaps them and tells."""

    def __init__(self, template: Template) -> None:
        """Take over the template."""
        self._template = template
        self._wire = template.wire

    def watched(self) -> list[int]:
        """See `Nursery`."""
        return [] if self._wire.is_closed() else [self._wire.fileno()]

    def start(self, order: ChildOrder, page_fd: int) -> None:
        """See `Nursery`."""
        try:
            self._wire.send({"fork": msgspec.to_builtins(order)}, (page_fd,))
        except OSError as error:
            log.debug("the template does not listen (%s); its end is about to be noticed", error)

    def news(self) -> list[News]:
        """See `Nursery`."""
        found: list[News] = []
        while not self._wire.is_closed() and self._wire.is_readable():
            messages, _ = self._wire.receive()
            for message in messages:
                if "forked" in message:
                    found.append(Began(message["forked"], message["pid"]))
                else:
                    found.append(Ended(message["ended"], message["code"]))
            if self._wire.is_closed():
                found.append(Lost())
        return found

    def close(self) -> None:
        """See `Nursery`."""
        self._template.close()


class Spawned:
    """Children that are processes of their own; SIGCHLD wakes the supervisor when one ends."""

    def __init__(self, options: WorkerOptions, build: str, template: Template | None) -> None:
        """Prepare.

        Args:
            options: Of the worker: they name the app that each child imports.
            build: What the supervisor was told that the app can run.
            template: To be ended at the end, for the hooks that it calls then; None if it has ended.
        """
        self._template = template
        self._options = msgspec.json.encode(options).decode()
        self._build = build
        self._processes: list[subprocess.Popen[bytes]] = []
        self._news: list[News] = []
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)  # for the wake-up only

    def watched(self) -> list[int]:
        """See `Nursery`."""
        return []

    def start(self, order: ChildOrder, page_fd: int) -> None:
        """See `Nursery`."""
        command = [
            sys.executable,
            "-P",
            "-m",
            "taskmesh.cli.child",
            self._options,
            msgspec.json.encode(order).decode(),
            self._build,
            str(page_fd),
            str(os.getpid()),
        ]
        with held():
            process = subprocess.Popen(command, pass_fds=(page_fd,))
        self._processes.append(process)
        self._news.append(Began(order.number, process.pid))

    def news(self) -> list[News]:
        """See `Nursery`."""
        found, self._news = self._news, []
        for process in list(self._processes):
            code = process.poll()
            if code is not None:
                self._processes.remove(process)
                found.append(Ended(process.pid, code))
        return found

    def close(self) -> None:
        """See `Nursery`."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        if self._template is not None:
            self._template.close()


def start_method(options: WorkerOptions, facts: MeshFacts) -> str:
    """Return how children are to be started: as asked for, else by forking where that is safe.

    Raises:
        UsageError: What was asked for is neither `fork` nor `spawn`.
    """
    asked = options.start_method or os.environ.get(START_METHOD_VARIABLE, "")
    if asked not in ("", FORK, SPAWN):
        raise UsageError(f"start method {asked!r} ({START_METHOD_VARIABLE}) should be {FORK} or {SPAWN}")
    if asked:
        return asked
    if facts.threads:
        log.info(
            "importing %s started threads (%s), which makes forking unsafe: each child imports it by itself",
            options.app,
            ", ".join(facts.threads),
        )
        return SPAWN
    # system libraries of macOS keep threads of their own that no child of a fork survives
    return SPAWN if sys.platform == "darwin" else FORK


def make_nursery(template: Template, options: WorkerOptions, facts: MeshFacts) -> Nursery:
    """Return the nursery that suits the app; a template that is not needed is ended.

    Raises:
        UsageError: As `start_method`.
    """
    if start_method(options, facts) == FORK:
        return Forked(template)
    if not facts.has_worker_hooks:
        template.close()
        return Spawned(options, facts.build, None)
    return Spawned(options, facts.build, template)
