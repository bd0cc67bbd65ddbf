"""`taskmesh top` on a real terminal, with keys that are really pressed, over a mesh with something wrong in it."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence

import psutil
import pytest

from tests.e2e.cli.shell import TASKMESH, TIMEOUT_S, Shell
from tests.support import wait_until

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HOME = "\x1b[H"


class Screen:
    """A command on a terminal of 80 by 24, and what is on its screen."""

    def __init__(self, shell: Shell, *words: str, program: Sequence[str] = TASKMESH) -> None:
        self.parent, child = os.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(child)
        self.terminal = child
        self.process = subprocess.Popen(
            [*program, *words],
            cwd=shell.folder,
            env=shell.environ | {"TERM": "xterm-256color"},
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=program == TASKMESH,
        )
        self.out = ""
        # what is read may end within a character
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> None:
        """Take in what was drawn."""
        while select.select([self.parent], [], [], 0.02)[0]:
            self.out += self._decoder.decode(os.read(self.parent, 65536))

    @property
    def shown(self) -> str:
        """The last frame that is whole."""
        self.read()
        frames = [part for part in self.out.split(HOME)[1:] if "\x1b[J" in part]
        return _CONTROL.sub("", frames[-1]).replace("\r\n", "\n") if frames else ""

    def until(self, *words: str) -> str:
        """Wait until all of these are on the screen, and return it."""

        def found() -> str:
            shown = self.shown
            assert self.process.poll() is None, f"it has ended:\n{self.out}"
            return shown if all(word in shown for word in words) else ""

        try:
            return wait_until(found, TIMEOUT_S)
        except AssertionError as error:
            raise AssertionError(f"{words} not on the screen:\n{self.shown}") from error

    def press(self, keys: str) -> None:
        os.write(self.parent, keys.encode())

    def ends(self) -> int:
        """Wait for the end, and return the exit code; the terminal must be as it was."""
        until_s = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < until_s:
            self.read()
        code = self.process.wait(1)
        self.read()
        assert termios.tcgetattr(self.terminal) == self.before
        assert self.out.endswith("\x1b[?25h\x1b[?1049l"), repr(self.out[-60:])
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.parent)
        os.close(self.terminal)


@pytest.fixture
def screens(served: Shell) -> Iterator[list[Screen]]:
    made: list[Screen] = []
    yield made
    for screen in made:
        screen.close()


def on_screen(screens: list[Screen], shell: Shell, *words: str) -> Screen:
    screens.append(Screen(shell, *words))
    return screens[-1]


def test_a_stuck_queue_a_failing_task_and_a_dead_letter_are_found_and_mended(served: Shell, screens):
    served.run("call", "app.add", "1", "2", "--queue", "stuck")
    served.run("call", "app.die")
    screen = on_screen(screens, served, "top")
    shown = screen.until("mesh shop", "stuck", "nobody serves it", "one")
    assert len(shown.splitlines()) == 24
    assert max(map(len, shown.splitlines())) <= 80

    def fails() -> bool:
        served.run("call", "app.fail", '"no"')
        return "ValueError" in screen.shown

    wait_until(fails, TIMEOUT_S, every_s=0.1)
    screen.until("app.fail", "ValueError", "dead 1")

    # the chosen queue is the one with most that waits
    screen.until(">stuck")
    screen.press("p")
    screen.until("queue stuck is paused", "paused")
    assert "stuck (paused)" in served.run("queues").out
    screen.press("p")
    screen.until("queue stuck goes on", "nobody serves it")

    screen.press("\x1b[B")
    screen.until(">default")
    screen.press("d")
    screen.until("dead letters of queue default: 1", "app.die")
    screen.press("\r")
    screen.until("dead letter ", "its process died 3 times")
    screen.press("r")
    screen.until("again? y confirms")
    screen.press("n")
    screen.until("not sent again")
    screen.press("r")
    screen.until("again? y confirms")
    screen.press("y")
    screen.until("sent again as")
    screen.press("\x1b")
    screen.until("mesh shop", "stuck")
    screen.press("?")
    screen.until("choose a part")
    screen.press("?")
    screen.press("q")
    assert screen.ends() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_the_terminal_is_as_it_was_whatever_ends_it(served: Shell, screens, number):
    screen = on_screen(screens, served, "top")
    screen.until("mesh shop", "one")
    screen.process.send_signal(number)
    assert screen.ends() == (0 if number == signal.SIGINT else -number)


def test_it_stands_still_and_goes_on_as_whoever_works_with_a_shell_expects(served: Shell, screens):
    """By Ctrl-Z and by SIGTSTP; the shell has its terminal meanwhile."""
    shell = Screen(served, program=["setsid", "--ctty", "bash", "--norc", "--noprofile", "-i"])
    screens.append(shell)

    def said(words: str) -> None:
        """Wait until the shell has printed that, and begin anew."""
        wait_until(lambda: (shell.read(), words in shell.out)[1], TIMEOUT_S, f"{words}: {shell.out!r}")
        shell.out = ""

    shell.press(f"{shlex.join(TASKMESH)} top\r")
    for how in ("key", "signal"):
        shell.until("mesh shop", "one")
        shell.out = ""
        if how == "key":
            shell.press("\x1a")
        else:
            (top,) = psutil.Process(shell.process.pid).children()
            top.send_signal(signal.SIGTSTP)
        said("Stopped")
        shell.press("stty -a; echo e''nd\r")
        wait_until(lambda: (shell.read(), "\r\nend" in shell.out)[1], TIMEOUT_S)
        assert " icanon" in shell.out
        assert " echo " in shell.out
        shell.out = ""
        shell.press("fg\r")
    shell.until("mesh shop", "one")
    shell.press("q")
    said("\x1b[?1049l")


def test_without_a_terminal_there_is_advice_and_one_frame(served: Shell):
    done = served.run("top", code=1)
    assert "needs a terminal" in done.err
    assert "--once" in done.err
    once = served.run("top", "--once").out
    assert "mesh shop" in once
    assert "one" in once
    assert "\x1b" not in once
    assert served.run("top", "--json").json["mesh"] == "shop"


def test_a_node_that_stands_still_holds_up_neither_the_screen_nor_its_end(served: Shell, screens):
    (server,) = [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"].endswith("-server")
        and str(served.root) in " ".join(process.info["cmdline"] or ())
    ]
    screen = on_screen(screens, served, "top")
    screen.until("mesh shop", "one")
    server.suspend()
    try:
        screen.until(" s old")
        screen.press("?")
        screen.until("choose a part")
        screen.press("?q")
        assert screen.ends() == 0
    finally:
        server.resume()
