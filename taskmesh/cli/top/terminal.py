"""The terminal of `taskmesh top`: taken over for a while, and given back as it was, however that ends."""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from taskmesh.cli.top.state import Key

if TYPE_CHECKING:
    from rich.text import Text

#: What ends it, with the terminal given back.
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
#: Ctrl-Z and Ctrl-\\, which are keys like others in a terminal that was taken over.
_SUSPEND, _QUIT = b"\x1a", b"\x1c"
#: Another screen, whose lines do not scroll into the history, without a cursor; and back.
_TAKE, _GIVE_BACK = b"\x1b[?1049h\x1b[?25l\x1b[2J", b"\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_KEYS = {
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1bOB": Key.DOWN,
    b"\x1b[Z": Key.BACK_TAB,
    b"\t": Key.TAB,
    b"\r": Key.ENTER,
    b"\n": Key.ENTER,
    b"\x1b": Key.ESCAPE,
    b"\x03": Key.INTERRUPT,
}


class Ended(Exception):
    """A signal asks this process to end."""

    def __init__(self, number: int) -> None:
        """Note which."""
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


class Terminal:
    """Draws frames, and reads keys."""

    def __init__(self, wake: int, woken: int) -> None:
        """Take standard input and output.

        Args:
            wake: Descriptor from which a byte can be read when there is something new to be drawn.
            woken: Its other end.
        """
        self._wake, self._woken = wake, woken
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before: list[Any] = []
        self._is_to_stand_still = False

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Take the terminal over; at the end, and while it stands still, it is as it was, whatever came."""
        self._before = termios.tcgetattr(self._in)
        handlers = {number: signal.signal(number, _end) for number in _ENDING}
        handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._wake_up)
        handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stand_still_soon)
        try:
            self._take()
            yield
        finally:
            for number in handlers:
                # a second one would come in between
                signal.signal(number, signal.SIG_IGN)
            with contextlib.suppress(OSError, termios.error):
                self._give_back()  # the terminal may be gone
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _take(self) -> None:
        tty.setraw(self._in)
        self._write(_TAKE)

    def _give_back(self) -> None:
        self._write(_GIVE_BACK)
        termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def _wake_up(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # enough wait to be read
            os.write(self._woken, b"w")

    def _stand_still_soon(self, number: int, frame: FrameType | None) -> None:
        self._is_to_stand_still = True
        self._wake_up(number, frame)

    def _stand_still(self) -> None:
        """Give the terminal back, stand still until somebody has this process go on, and take it again."""
        self._is_to_stand_still = False
        self._give_back()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(
            signal.SIGTSTP
        )  # to this thread, so that it does not go on before it stands still
        signal.signal(signal.SIGTSTP, handler)
        self._take()

    def size(self) -> tuple[int, int]:
        """Return columns and lines."""
        columns, lines = os.get_terminal_size(self._out)
        return max(1, columns), max(1, lines)

    def draw(self, lines: Sequence[Text]) -> None:
        """Draw a frame over the one before."""
        width, _ = self.size()
        self._write(as_ansi(lines, width).encode(errors="replace"))

    def read(self, timeout_s: float) -> list[Key | str]:
        """Return the keys that were pressed, if any were in time; none also when there is something to be drawn."""
        ready, _, _ = select.select([self._in, self._wake], [], [], timeout_s)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self._is_to_stand_still:
            self._stand_still()
        if self._in not in ready:
            return []
        pressed = os.read(self._in, 1024)
        if not pressed or _QUIT in pressed:
            raise Ended(signal.SIGQUIT if pressed else signal.SIGHUP)
        if _SUSPEND in pressed:
            self._stand_still()
        return list(keys_in(pressed))

    def _write(self, text: bytes) -> None:
        left = memoryview(text)
        while left:
            left = left[os.write(self._out, left) :]


def as_ansi(lines: Sequence[Text], width: int) -> str:
    """Return lines as a terminal is told to draw them, from its first line on."""
    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=len(lines),
        highlight=False,
        color_system="standard",
        no_color=bool(os.environ.get("NO_COLOR")),
        legacy_windows=False,
    )
    drawn = []
    for line in lines:
        with console.capture() as captured:
            console.print(line, end="", soft_wrap=True)
        drawn.append(captured.get() + _END_OF_LINE)
    return _HOME + "\r\n".join(drawn) + _BELOW


def keys_in(pressed: bytes) -> Iterator[Key | str]:
    """Yield the keys in what a terminal sent; sequences that mean nothing here are passed over."""
    at = 0
    while at < len(pressed):
        for length in (3, 1):
            known = _KEYS.get(pressed[at : at + length])
            if known is not None and not (known is Key.ESCAPE and pressed[at + 1 : at + 2] in (b"[", b"O")):
                yield known
                at += length
                break
        else:
            at += yield from _other(pressed, at)


def _other(pressed: bytes, at: int) -> Any:
    """Yield a letter; return how long what stands here is."""
    if pressed[at] == 0x1B:
        end = at + 2
        while end < len(pressed) and not 0x40 <= pressed[end] <= 0x7E:
            end += 1
        return end + 1 - at
    if 0x20 <= pressed[at] < 0x7F:
        yield chr(pressed[at])
    return 1


def _end(number: int, _frame: FrameType | None) -> None:
    raise Ended(number)
