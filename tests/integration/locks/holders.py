"""Other processes that hold locks, as tests drive them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Holder:
    """One process; see `tests/apps/lock_holder.py` for what it can be told."""

    def __init__(
        self, mesh: str, url: str, env: dict[str, str] | None = None, within: Sequence[str] = ()
    ) -> None:
        self.process = subprocess.Popen(
            [*within, sys.executable, "-W", "error", "-m", "tests.apps.lock_holder", mesh, url],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path.cwd(),
        )
        assert self.hear() == "ready"

    def say(self, command: str, *args: Any, **kwargs: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, args, kwargs]) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, command: str, *args: Any, **kwargs: Any) -> Any:
        self.say(command, *args, **kwargs)
        return self.hear()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.go_on()
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
