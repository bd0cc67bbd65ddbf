"""Arguments and values: by reference where that works elsewhere, by value where it does not."""

import datetime as dt
import decimal
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.codec.pickling import (
    CLOUDPICKLE,
    COMPRESSED,
    PICKLE,
    decode_call,
    decode_value,
    encode_call,
    encode_value,
)
from taskmesh.errors import Malformed, NewerFormat, NotPicklable, PayloadTooLarge

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


class Grumpy:
    """Cannot be pickled, and cannot be shown either."""

    def __reduce__(self) -> str:
        raise OSError("no pickling today")

    def __repr__(self) -> str:
        raise RuntimeError("nor showing")


class LoadsBadly:
    """Can be sent, and fails on arrival."""

    def __reduce__(self) -> tuple[object, ...]:
        return int, ("not a number",)


@given(st.lists(VALUES, max_size=3), st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
def test_any_plain_call_comes_back(args: list[object], kwargs: dict[str, object]) -> None:
    encoding, body, clear_size = encode_call(tuple(args), kwargs)
    assert decode_call(encoding, body, clear_size) == (tuple(args), kwargs)


@given(VALUES)
def test_any_plain_value_comes_back(value: object) -> None:
    assert decode_value(*encode_value(value)) == value


def test_what_can_be_imported_goes_by_plain_pickle() -> None:
    encoding, body, clear_size = encode_call((decimal.Decimal("1.5"), os.getpid), {"day": dt.date.min})
    assert (encoding, clear_size) == (PICKLE, len(body))
    args, kwargs = decode_call(encoding, body, clear_size)
    assert args == (decimal.Decimal("1.5"), os.getpid)
    assert kwargs == {"day": dt.date.min}


def test_lambdas_and_closures_go_by_value() -> None:
    step = 5
    encoding, body, size = encode_call((lambda x: x + step,), {"key": lambda: step})
    assert encoding == CLOUDPICKLE
    args, kwargs = decode_call(encoding, body, size)
    assert args[0](1) == 6
    assert kwargs["key"]() == 5
    encoding, body = encode_value(lambda: step)
    assert encoding == CLOUDPICKLE
    assert decode_value(encoding, body)() == 5


def test_a_text_that_names_main_is_only_pickled_twice() -> None:
    encoding, body, size = encode_call(('if __name__ == "__main__":',), {})
    assert decode_call(encoding, body, size)[0] == ('if __name__ == "__main__":',)


SCRIPT = '''
import dataclasses, enum, subprocess, sys
from taskmesh.codec.functions import decode_function, encode_function
from taskmesh.codec.pickling import *

FACTOR = 3

class Colour(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Point:
    x: int
    def scaled(self):
        return Point(self.x * FACTOR)

class Trouble(Exception):
    pass

def scale(points):
    return [point.scaled() for point in points], Colour.RED

if __name__ == "__main__":
    encoding, body, size = encode_call(([Point(1), Point(2)],), {})
    _, blob = encode_function(scale)
    child = """
import sys
from taskmesh.codec.functions import decode_function
from taskmesh.codec.pickling import *
assert "Point" not in dir(sys.modules["__main__"])
encoding, body, blob = eval(sys.stdin.read())
args, kwargs = decode_call(encoding, body)
print(encode_value(decode_function(blob)(*args, **kwargs)))
"""
    run = subprocess.run([sys.executable, "-c", child], input=repr((encoding, body, blob)), text=True,
                         stdout=subprocess.PIPE, check=True)
    points, colour = decode_value(*eval(run.stdout))
    assert colour is Colour.RED, colour
    assert points == [Point(3), Point(6)], points
    assert type(points[0]) is Point, "a class that went out and came back is the same class here"
    try:
        raise Trouble("x")
    except Trouble as error:
        assert type(decode_error(encode_error(error))) is Trouble
    print("encoding", encoding)
'''


def test_what_lives_in_main_reaches_another_process_and_comes_home(tmp_path: Path) -> None:
    """The classes and functions of `python script.py`, of which a worker has no module."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    run = subprocess.run(
        [sys.executable, script], env=child_env(), capture_output=True, text=True, check=False, timeout=180
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"encoding {CLOUDPICKLE}\n"


SPAWNING = """
import multiprocessing
import subprocess
import sys
from taskmesh.codec.pickling import decode_call, encode_call

class Point:
    x = 7

def send(_):
    return Point.__module__, encode_call((Point(),), {})

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        module, (encoding, body, size) = pool.map(send, [0])[0]
    child = "import sys; from taskmesh.codec.pickling import *; "
    child += "print(decode_call(*eval(sys.stdin.read()))[0][0].x)"
    run = subprocess.run([sys.executable, "-c", child], input=repr((encoding, body, size)), text=True,
                         stdout=subprocess.PIPE, check=True)
    print(module, run.stdout.strip())
"""


def test_main_of_a_spawned_process_goes_by_value_too(tmp_path: Path) -> None:
    """`multiprocessing` calls the main script `__mp_main__` there, which no worker has either."""
    script = tmp_path / "spawning.py"
    script.write_text(SPAWNING)
    run = subprocess.run(
        [sys.executable, script], env=child_env(), capture_output=True, text=True, check=False, timeout=180
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "__mp_main__ 7\n"


def test_cloudpickle_is_not_imported_until_needed() -> None:
    code = (
        "import sys; from taskmesh.codec.pickling import *; from taskmesh.codec.envelope import *; "
        "decode_call(*encode_call((1,), {})); decode_value(*encode_value('x')); "
        "assert 'cloudpickle' not in sys.modules and 'asyncio' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env=child_env(), check=True, timeout=180)


def child_env() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[3])
    return {**os.environ, "PYTHONPATH": root}


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((1, threading.Lock()), {}, r"^argument 2 cannot be pickled: it is a _thread.lock, <unlocked"),
        ((), {"guard": threading.Lock()}, r"^argument 'guard' cannot be pickled: it is a _thread.lock"),
        (([{"deep": threading.Lock()}],), {}, r"^argument 1 .* a builtins.list, \[\{'deep': <unlocked"),
        ((Grumpy(),), {}, r"^argument 1 .*Grumpy, <Grumpy instance at .*OSError: no pickling today"),
    ],
)
def test_an_argument_that_cannot_be_sent_is_named(
    args: tuple[object], kwargs: dict[str, object], said: str
) -> None:
    with pytest.raises(NotPicklable, match=said) as caught:
        encode_call(args, kwargs)
    assert caught.value.__cause__ is not None


def test_a_value_that_cannot_be_sent_is_named_in_few_words() -> None:
    with pytest.raises(
        NotPicklable, match=r"^the return value .* a builtins.dict, \{'a': <unlocked"
    ) as caught:
        encode_value({"a": threading.Lock(), "b": "x" * 100_000})
    assert len(str(caught.value)) < 1000
    with pytest.raises(NotPicklable, match=r"the return value .* a builtins.generator"):
        encode_value(x for x in ())


def test_a_deeply_nested_argument_is_not_a_crash() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotPicklable, match=r"argument 1 .*, \[\[\[.*recursion"):
        encode_call((deep,), {})


@pytest.mark.parametrize("plain", [True, False])
def test_large_bodies_are_compressed_where_it_helps(plain: bool) -> None:
    extra = 1 if plain else (lambda: 1)
    encoding, body, size = encode_call(("taskmesh " * 10_000, extra), {})
    assert encoding == COMPRESSED + (PICKLE if plain else CLOUDPICKLE)
    assert len(body) < 10_000
    assert size > 90_000
    assert decode_call(encoding, body, size)[0][0] == "taskmesh " * 10_000
    assert encode_call((os.urandom(90_000),), {})[0] == PICKLE
    assert encode_call(("x" * 100,), {}, compress_over=50)[0] == COMPRESSED
    assert encode_call(("x" * 90_000,), {}, compress_over=10**9)[0] == PICKLE
    encoding, body = encode_value("taskmesh " * 10_000)
    assert encoding == COMPRESSED
    assert decode_value(encoding, body) == "taskmesh " * 10_000


def test_what_is_too_large_is_refused_with_both_numbers() -> None:
    with pytest.raises(PayloadTooLarge, match=r"have 1000024 bytes .* max_message_size is 9999;") as call:
        encode_call((bytes(1_000_000),), {}, max_size=9999)
    assert (call.value.size, call.value.limit) == (1_000_024, 9999)
    with pytest.raises(PayloadTooLarge, match="has 1000009 bytes when pickled, and max_result_size is 10;"):
        encode_value(bytes(1_000_000), max_size=10)
    exact = encode_call((bytes(1_000_000),), {}, max_size=1_000_024)
    assert exact[2] == 1_000_024


def test_expansion_is_bounded_by_the_receiver_too() -> None:
    encoding, body, size = encode_call((bytes(1_000_000),), {})
    assert encoding == COMPRESSED
    with pytest.raises(Malformed, match=f"says that it has {size} bytes, and 999999 are allowed"):
        decode_call(encoding, body, size, 999_999)
    with pytest.raises(Malformed, match=f"says that its body has 5 bytes, and it has {size}"):
        decode_call(encoding, body, 5)
    encoding, body = encode_value(bytes(1_000_000))
    with pytest.raises(Malformed, match="and 999 are allowed"):
        decode_value(encoding, body, max_size=999)


@pytest.mark.parametrize("encoding", [2, 15, 18, 32])
def test_an_unknown_encoding_waits_for_a_newer_build(encoding: int) -> None:
    with pytest.raises(NewerFormat, match=f"encoding {encoding}; upgrade"):
        decode_call(encoding, b"", 0)
    with pytest.raises(NewerFormat):
        decode_value(encoding, b"")


def test_what_cannot_be_loaded_is_malformed_with_its_cause() -> None:
    encoding, body, size = encode_call((LoadsBadly(),), {})
    with pytest.raises(Malformed, match=r"unpickled here \(ValueError: invalid.*import") as caught:
        decode_call(encoding, body, size)
    assert isinstance(caught.value.__cause__, ValueError)
    missing = b"\x80\x05\x8c\x0bno_such_mod\x8c\x01x\x93."
    with pytest.raises(Malformed, match=r"the return value .*No module named 'no_such_mod'"):
        decode_value(PICKLE, missing)
    with pytest.raises(Malformed, match="same minor version of Python"):
        decode_value(CLOUDPICKLE, b"junk")
    with pytest.raises(Malformed, match="holds int and int, not arguments"):
        decode_call(PICKLE, encode_value((1, 2))[1])
    with pytest.raises(Malformed, match="cannot be unpickled"):
        decode_call(PICKLE, encode_value(1)[1])


MAIN_BY_NAME = """
import enum, sys
from dataclasses import dataclass
from taskmesh.codec.pickling import decode_call, encode_call

class Color(enum.Enum):
    RED = 1

@dataclass
class Point:
    x: int
    class Inner:
        pass

def helper():
    return Point

sys.modules["script"] = sys.modules["__main__"]
local = type("Local", (), {})
given = (Color.RED, Point(1), Point.Inner, helper, lambda: Point, local)
(args, _) = decode_call(*encode_call(given, {}, main="script"))
assert args[0] is Color.RED
assert type(args[1]) is Point
assert args[2] is Point.Inner
assert args[3] is helper
assert args[4]() is Point
assert args[5].__name__ == "Local"
body = encode_call((Point(1),), {}, main="script")[1]
assert b"script" in body and b"__main__" not in body
print("fine")
"""


def test_what_a_script_defines_goes_by_the_name_that_workers_know(tmp_path):
    (tmp_path / "script.py").write_text(MAIN_BY_NAME)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py"], capture_output=True, text=True, check=False
    )
    assert done.stdout == "fine\n", done.stderr
