"""What is chosen on the screen, and what a key does. Knows neither the terminal nor the mesh."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from taskmesh.cli.dead_story import Story
from taskmesh.cli.top.acts import Letter

#: The parts of the screen, in the order of Tab.
PARTS = ("queues", "workers", "nodes", "tasks")


class Key(Enum):
    """A key that means something besides itself."""

    UP = "up"
    DOWN = "down"
    TAB = "tab"
    BACK_TAB = "back tab"
    ENTER = "enter"
    ESCAPE = "escape"
    INTERRUPT = "interrupt"


class View(Enum):
    """What the screen shows."""

    MESH = "mesh"
    LETTERS = "dead letters"
    STORY = "one dead letter"
    HELP = "help"


class Wish(Enum):
    """What is to be done besides drawing anew."""

    NOTHING = "nothing"
    QUIT = "quit"
    PAUSE = "pause or resume"
    LETTERS = "read dead letters"
    STORY = "read one"
    RESEND = "send again"


@dataclass(slots=True)
class State:
    """What is chosen, and what is shown.

    Attributes:
        view: What is shown.
        part: Which part of the mesh is chosen.
        rows: How many rows each part has; said by who draws.
        at: Which row of each is chosen.
        names: The queues as they were drawn last.
        marked: Name of the chosen one: it stays that, wherever it comes to stand.
        queue: Name of the queue whose dead letters are shown.
        letters: These; None while they are read.
        older: How many dead letters of the mesh, of whatever queue, were not looked at.
        letter: Which of them is chosen.
        story: The one that is shown; None while it is read.
        asks: The id of the letter which is about to be sent again, until that is confirmed.
        said: What became of the last act.
    """

    view: View = View.MESH
    part: str = PARTS[0]
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    at: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    names: list[str] = field(default_factory=list)
    marked: str = ""
    queue: str = ""
    letters: list[Letter] | None = None
    older: int = 0
    letter: int = 0
    story: Story | None = None
    asks: str = ""
    said: str = ""

    @property
    def chosen_letter(self) -> Letter | None:
        """The dead letter that is chosen."""
        letters = self.letters or []
        return letters[min(self.letter, len(letters) - 1)] if letters else None

    def press(self, key: Key | str) -> Wish:
        """Take in a key, and return what is to be done."""
        if key is Key.INTERRUPT:
            return Wish.QUIT
        if self.asks:
            return self._confirm(key)
        self.said = ""
        if key == "q" and self.view is View.MESH:
            return Wish.QUIT
        if key == "?":
            self.view = View.MESH if self.view is View.HELP else View.HELP
            return Wish.NOTHING
        if key in ("q", Key.ESCAPE):
            self._go_back()
            return Wish.NOTHING
        if self.view is View.MESH:
            return self._in_mesh(key)
        return self._in_letters(key) if self.view in (View.LETTERS, View.STORY) else Wish.NOTHING

    def drawn(self, names: list[str]) -> None:
        """Note which queues there are, in their order on the screen."""
        self.names = names
        if self.marked in names:
            self.at["queues"] = names.index(self.marked)
        else:
            self._mark()

    def _mark(self) -> None:
        at = max(0, min(self.at["queues"], len(self.names) - 1))
        self.at["queues"], self.marked = at, self.names[at] if self.names else ""

    def _go_back(self) -> None:
        self.view = View.LETTERS if self.view is View.STORY else View.MESH
        self.story = None

    def _confirm(self, key: Key | str) -> Wish:
        if key in ("y", "Y"):
            return Wish.RESEND
        self.asks, self.said = "", "not sent again"
        return Wish.NOTHING

    def _in_mesh(self, key: Key | str) -> Wish:
        part = self.part
        if key in (Key.TAB, Key.BACK_TAB):
            step = 1 if key is Key.TAB else -1
            self.part = PARTS[(PARTS.index(part) + step) % len(PARTS)]
        elif key in (Key.DOWN, "j"):
            self.at[part] = max(0, min(self.at[part] + 1, self.rows[part] - 1))
            self._mark()
        elif key in (Key.UP, "k"):
            self.at[part] = max(0, self.at[part] - 1)
            self._mark()
        elif key == "p":
            if part == "queues":
                return Wish.PAUSE
            self.said = "p pauses the queue that is marked, and none is: choose one with Tab and the arrows"
        elif key == "d" or (key is Key.ENTER and part == "queues"):
            return Wish.LETTERS
        return Wish.NOTHING

    def _in_letters(self, key: Key | str) -> Wish:
        count = len(self.letters or ())
        if self.view is View.LETTERS and key in (Key.DOWN, "j"):
            self.letter = max(0, min(self.letter + 1, count - 1))
        elif self.view is View.LETTERS and key in (Key.UP, "k"):
            self.letter = max(0, self.letter - 1)
        elif self.view is View.LETTERS and key is Key.ENTER and count:
            return Wish.STORY
        elif key == "r" and self.chosen_letter is not None:
            self.asks = self.chosen_letter.id
        return Wish.NOTHING
