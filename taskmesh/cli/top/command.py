"""`taskmesh top`: a mesh in one screen, with keys."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from taskmesh.cli.failure import Failure
from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.top.state import State, View, Wish

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh
    from taskmesh.cli.top.acts import Acts
    from taskmesh.cli.top.seen import QueueSeen
    from taskmesh.cli.top.terminal import Terminal
    from taskmesh.cli.top.watching import Watching

#: How often the screen is drawn anew when nothing happens: the clock goes on.
DRAW_S = 1.0


@click.command(
    epilog=ending(
        examples=["taskmesh top -A app:mesh", "taskmesh top --mesh shop --once"],
        codes=[
            "0 shown, of several nodes one is enough; also when it was ended by q or Ctrl-C",
            "1 no node can be reached, there is no such mesh, or this is no terminal",
        ],
    )
)
@click.option("--once", is_flag=True, help="Print one frame and end; no terminal is needed.")
@target_options()
@json_option
def top(*, once: bool, target: Target, json_wanted: bool) -> None:
    """Watch a mesh in one screen: queues, workers, nodes, the leader, tasks.

    It is looked at each second. Keys: Tab and arrows choose, p pauses the marked queue or lets it go on, d shows its
    dead letters, Enter one of them, r sends it again after asking, ? helps, q ends it. Of tasks those come first that
    fail most, then those that take longest; they are counted from the start on, by events.
    """
    if not (once or json_wanted) and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failure(
            "taskmesh top needs a terminal for its screen and keys; `taskmesh top --once` prints one frame, and "
            "`taskmesh top --json` or `taskmesh status --json` are for programs"
        )
    mesh = target.look()
    if json_wanted:
        from taskmesh.cli.top.seen import look_at

        print_json(look_at(mesh).as_json())
    elif once:
        _print_once(mesh)
    else:
        _run(mesh)


def _print_once(mesh: TaskMesh) -> None:
    from taskmesh.cli.output import show
    from taskmesh.cli.top.frame import HEIGHT, WIDTH, frame
    from taskmesh.cli.top.watching import Watching

    watching = Watching(mesh, lambda: None)
    watching.look()
    watching.ask_who_leads()
    columns, rows = os.get_terminal_size() if sys.stdout.isatty() else (WIDTH, HEIGHT)
    lines = frame(watching, State(part=""), time.monotonic(), max(WIDTH, columns), max(HEIGHT, rows - 1))
    # the last line tells of keys
    for line in lines[:-1]:
        line.rstrip()
    show(*lines[:-1])


def _run(mesh: TaskMesh) -> None:
    from taskmesh.cli.top.acts import Acts
    from taskmesh.cli.top.terminal import Ended, Terminal
    from taskmesh.cli.top.watching import Watching

    # what is logged would be written over the screen
    logging.getLogger("taskmesh").addHandler(logging.NullHandler())
    logging.getLogger("taskmesh").propagate = False
    wake, woken = os.pipe()
    os.set_blocking(woken, False)

    def changed() -> None:
        try:
            os.write(woken, b"c")
        except BlockingIOError:
            return  # enough of them wait to be read

    watching, acts = Watching(mesh, changed), Acts(mesh, changed)
    terminal = Terminal(wake, woken)
    ended_by = 0
    try:
        with terminal.taken():
            watching.start()
            acts.start()
            Top(watching, acts, terminal).run()
    except Ended as ended:
        ended_by = ended.number
    finally:
        watching.stop()
    if ended_by and ended_by != signal.SIGINT:
        signal.signal(ended_by, signal.SIG_DFL)
        signal.raise_signal(ended_by)


class Top:
    """The loop: draw, wait for a key or for news, do what the key says."""

    def __init__(self, watching: Watching, acts: Acts, terminal: Terminal) -> None:
        """Put the parts together."""
        self._watching = watching
        self._acts = acts
        self._terminal = terminal
        self._state = State()

    def run(self) -> None:
        """Go on until a key ends it."""
        from taskmesh.cli.top.frame import frame

        while True:
            width, height = self._terminal.size()
            self._terminal.draw(frame(self._watching, self._state, time.monotonic(), width, height))
            for key in self._terminal.read(DRAW_S):
                wish = self._state.press(key)
                if wish is Wish.QUIT:
                    return
                self._do(wish)

    def _do(self, wish: Wish) -> None:
        if wish is Wish.PAUSE:
            self._pause()
        elif wish is Wish.LETTERS:
            self._read_letters()
        elif wish is Wish.STORY:
            self._read_story()
        elif wish is Wish.RESEND:
            self._resend()

    def _say(self, text: str) -> None:
        self._state.said = text
        self._watching.hurry()

    def _queue(self) -> QueueSeen | None:
        """Return the queue that is shown as chosen."""
        seen = self._watching.seen
        queues = seen.queues if seen is not None else ()
        return next((queue for queue in queues if queue.name == self._state.marked), None)

    def _pause(self) -> None:
        from taskmesh.cli.top.acts import set_paused

        queue = self._queue()
        if queue is None:
            self._state.said = "there is no queue to pause"
            return
        self._state.said = f"{'resuming' if queue.paused else 'pausing'} queue {queue.name} …"
        self._acts.have(lambda mesh: set_paused(mesh, queue.name, paused=not queue.paused), self._say)

    def _read_letters(self) -> None:
        queue = self._queue()
        if queue is None:
            return
        state = self._state
        state.view, state.queue, state.letters, state.letter = View.LETTERS, queue.name, None, 0
        self._read_letters_again()

    def _read_letters_again(self) -> None:
        from taskmesh.cli.top.acts import letters_of

        state, name = self._state, self._state.queue

        def read(mesh: TaskMesh) -> str:
            found, older = letters_of(mesh, name)
            if state.queue == name:
                state.letters, state.older = found, older
                state.letter = max(0, min(state.letter, len(found) - 1))
            return ""

        self._acts.have(read, self._failed)

    def _failed(self, said: str) -> None:
        if said:
            self._say(said)

    def _read_story(self) -> None:
        from taskmesh.cli.top.acts import read_letter

        state, letter = self._state, self._state.chosen_letter
        if letter is None:
            return
        state.view, state.story = View.STORY, None

        def read(mesh: TaskMesh) -> str:
            state.story = read_letter(mesh, letter.id)
            return ""

        self._acts.have(read, self._failed)

    def _resend(self) -> None:
        from taskmesh.cli.top.acts import resend

        state, task_id = self._state, self._state.asks
        state.asks, state.said = "", f"sending {task_id} again …"
        state.view, state.story = View.LETTERS, None
        self._acts.have(lambda mesh: resend(mesh, task_id), self._say)
        self._read_letters_again()
