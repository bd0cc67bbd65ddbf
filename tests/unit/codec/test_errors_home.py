"""Exceptions of tasks: the original where it can be rebuilt, else a `RemoteError` that tells all."""

import re
import threading
from typing import Any

import pytest

from taskmesh.codec.keyring import Key, Keyring
from taskmesh.codec.outcome import ErrorInfo, Outcome, decode_outcome, encode_outcome
from taskmesh.codec.pickling import decode_error, encode_error
from taskmesh.errors import PayloadTooLarge, RemoteError, TaskDead

RESULTS = Keyring(Key.of(b"k" * 32)).signer("result", "shop")


class Simple(Exception):
    pass


class TwoArguments(Exception):
    """Pickles, and cannot be unpickled: `args` has one item, `__init__` wants two."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name}: {code}")


class HoldsLock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Reduced(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduced, (self.code,)


def _reduced(code: int) -> Reduced:
    return Reduced(code=code)


class ReducedToText(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("not an exception at all",)


class ReducedBadly(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        raise RuntimeError("no way")


class Unshowable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot show")


class NoNotes(Exception):
    def add_note(self, _note: str) -> None:
        raise TypeError("no notes, please")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - the test wants each kind
        return caught


def home(error: BaseException, *, max_size: int = 256 * 1024) -> Exception:
    """Send an exception the whole way: inside an outcome that is signed, verified and read."""
    info = encode_error(raised(error), max_size=max_size)
    wire = encode_outcome(Outcome("id-1", "FAILURE", error=info), RESULTS)
    back = decode_outcome(wire, RESULTS, expect_id="id-1").error
    assert back == info
    return decode_error(back, worker="w-1", task_id="id-1")


def notes_of(error: Exception) -> list[str]:
    return error.__notes__


@pytest.mark.parametrize(
    "error",
    [
        Simple("a", 2),
        ValueError("x"),
        KeyError("k"),
        Reduced(code=7),
        OSError(2, "gone"),
        UnicodeError(),
        Simple(),
    ],
    ids=repr,
)
def test_the_original_comes_home_with_its_traceback(error: Exception) -> None:
    back = home(error)
    assert type(back) is type(error)
    assert back.args == error.args
    assert str(back) == str(error)
    (note,) = notes_of(back)
    assert note.startswith("Remote traceback (worker w-1):\nTraceback (most recent call last):\n")
    assert "in raised\n    raise error" in note


def test_facts_and_notes_of_the_original_come_home() -> None:
    error = TaskDead("gone", task_id="id-0", reason="max_crashes")
    error.add_note("while packing")
    back = home(error)
    assert isinstance(back, TaskDead)
    assert (back.task_id, back.reason) == ("id-0", "max_crashes")
    assert notes_of(back)[0] == "while packing"
    assert notes_of(back)[1].startswith("Remote traceback (worker")
    too_large = home(PayloadTooLarge("big", size=5, limit=4))
    assert isinstance(too_large, PayloadTooLarge)
    assert (too_large.size, too_large.limit) == (5, 4)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TwoArguments("disk", 7), "cannot be unpickled here: TypeError: .*missing 1 required"),
        (HoldsLock("held"), "could not pickle"),
        (ReducedToText("x"), "a str is not raised"),
        (ReducedBadly("x"), "could not pickle"),
        (NoNotes("x"), "cannot be unpickled here: TypeError: no notes"),
        (SystemExit(3), "a SystemExit is not raised on behalf of another process"),
        (KeyboardInterrupt(), "a KeyboardInterrupt is not raised"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_rebuilt_is_told_in_full(error: BaseException, why: str) -> None:
    back = home(error)
    assert isinstance(back, RemoteError)
    assert back.type_name.rpartition(".")[2] == type(error).__qualname__
    assert back.text == str(error)
    assert back.task_id == "id-1"
    assert str(back) == f"{back.type_name}: {error}"
    assert back.remote_traceback.startswith("Traceback (most recent call last):\n")
    assert notes_of(back)[0] == f"Remote traceback (worker w-1):\n{back.remote_traceback}"
    assert notes_of(back)[1].startswith("It is a RemoteError because ")
    assert re.search(why, notes_of(back)[1])


def test_a_remote_error_of_a_nested_call_comes_home_as_itself() -> None:
    inner = home(HoldsLock("held"))
    outer = home(inner)
    assert isinstance(outer, RemoteError)
    assert (outer.text, outer.task_id) == ("held", "id-1")
    assert len(notes_of(outer)) == 3


def test_causes_stand_in_the_traceback() -> None:
    try:
        try:
            raise Simple("the first")
        except Simple as first:
            raise ValueError("the second") from first
    except ValueError as second:
        back = decode_error(encode_error(second))
    assert "Simple: the first" in notes_of(back)[0]
    assert "direct cause" in notes_of(back)[0]
    assert notes_of(back)[0].startswith("Remote traceback (worker unknown):\n")


def test_an_exception_group_comes_home() -> None:
    back = home(ExceptionGroup("both", [Simple("a"), ValueError("b")]))
    assert isinstance(back, ExceptionGroup)
    assert [type(part) for part in back.exceptions] == [Simple, ValueError]


def test_a_class_made_inside_a_function_comes_home() -> None:
    class Local(Exception):
        pass

    assert type(home(Local("x"))) is Local


def test_strange_texts_do_no_harm() -> None:
    back = home(Unshowable("x"))
    assert isinstance(back, Unshowable)
    assert encode_error(Unshowable("x")).text == "<cannot be shown: RuntimeError>"
    assert encode_error(ValueError("lone \ud800")).text == "lone \\ud800"
    assert isinstance(home(ValueError("lone \ud800")), ValueError)


def test_sizes_are_bounded() -> None:
    back = home(Simple("x" * 1_000_000))
    assert isinstance(back, RemoteError)
    assert len(back.text) < 70_000
    assert "characters left out" in back.text
    assert len(back.remote_traceback) < 70_000
    assert back.remote_traceback.startswith("Traceback")
    assert isinstance(home(Simple("x" * 1000), max_size=500), RemoteError)


def test_an_exception_never_raised_has_no_traceback_and_still_travels() -> None:
    back = decode_error(encode_error(Simple("never raised")))
    assert "Simple: never raised" in notes_of(back)[0]


def test_the_text_alone_is_enough() -> None:
    back = decode_error(ErrorInfo("app", "Gone", "it went", "Traceback …"), worker="w")
    assert isinstance(back, RemoteError)
    assert str(back) == "app.Gone: it went"
