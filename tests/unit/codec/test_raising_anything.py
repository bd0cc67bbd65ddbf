"""What is pickled runs code, and that may raise what is no `Exception`: it must end neither worker nor caller."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from taskmesh.codec.functions import decode_function, encode_function
from taskmesh.codec.outcome import ErrorInfo
from taskmesh.codec.pickling import (
    PICKLE,
    decode_call,
    decode_error,
    decode_value,
    encode_call,
    encode_error,
    encode_value,
)
from taskmesh.errors import Malformed, NotPicklable, RemoteError

ENDS = [SystemExit, KeyboardInterrupt, GeneratorExit]


def _raise(kind: type[BaseException]) -> None:
    raise kind("by the value")


class Leaving:
    """Raises when it is pickled."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        raise self.kind("by the value")


class Arriving:
    """Raises when it is unpickled."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        return _raise, (self.kind,)


class Unsayable(Exception):
    """Raises when its text is asked for, and when it is pickled."""

    kind: type[BaseException] = SystemExit

    def __str__(self) -> str:
        raise self.kind

    def __reduce__(self) -> Any:
        raise self.kind


class LeavingUnsayably:
    def __reduce__(self) -> Any:
        raise Unsayable


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit])
def test_an_argument_that_ends_the_program_is_not_picklable(kind):
    with pytest.raises(NotPicklable, match="argument 2 cannot be pickled"):
        encode_call((1, Leaving(kind)), {})


def test_ctrl_c_while_arguments_are_pickled_is_the_callers():
    with pytest.raises(KeyboardInterrupt):
        encode_call((Leaving(KeyboardInterrupt),), {})


@pytest.mark.parametrize("kind", ENDS)
def test_arguments_that_would_end_a_worker_are_malformed(kind):
    with pytest.raises(Malformed, match=kind.__name__):
        decode_call(PICKLE, pickle.dumps(((Arriving(kind),), {})))


@pytest.mark.parametrize("kind", ENDS)
def test_a_value_that_would_end_a_worker_is_not_picklable(kind):
    with pytest.raises(NotPicklable, match="the return value cannot be pickled"):
        encode_value(Leaving(kind))


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit])
def test_a_value_does_not_end_its_caller(kind):
    with pytest.raises(Malformed, match=kind.__name__):
        decode_value(PICKLE, pickle.dumps(Arriving(kind)))


def test_ctrl_c_while_a_value_is_unpickled_is_the_callers():
    body = pickle.dumps(Arriving(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        decode_value(PICKLE, body)
    with pytest.raises(KeyboardInterrupt):
        decode_error(ErrorInfo("m", "E", "text", "trace", body))


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit])
def test_an_exception_does_not_end_its_caller(kind):
    error = decode_error(ErrorInfo("m", "E", "text", "trace", pickle.dumps(Arriving(kind))))
    assert isinstance(error, RemoteError)
    assert kind.__name__ in "".join(error.__notes__)


@pytest.mark.parametrize("kind", ENDS)
def test_an_exception_that_would_end_its_worker_travels_as_text(kind, monkeypatch):
    monkeypatch.setattr(Unsayable, "kind", kind)
    info = encode_error(Unsayable())
    assert (info.pickled, info.text) == (None, f"<cannot be shown: {kind.__name__}>")


def test_a_reason_that_cannot_be_said_is_no_reason_to_end():
    with pytest.raises(NotPicklable, match="cannot be shown: SystemExit"):
        encode_value(LeavingUnsayably())
    with pytest.raises(NotPicklable, match="cannot be shown: SystemExit"):
        encode_call((LeavingUnsayably(),), {})


@pytest.mark.parametrize("kind", ENDS)
def test_a_function_that_would_end_a_worker_is_malformed(kind):
    held = Arriving(kind)

    def function() -> object:
        return held

    _, blob = encode_function(function)
    with pytest.raises(Malformed, match=kind.__name__):
        decode_function(blob)
