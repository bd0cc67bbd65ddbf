"""Functions by value: hashes, seals, and clear words where one cannot be sent or loaded."""

import functools
import math
import sys
import threading

import msgspec
import pytest

from taskmesh.codec.functions import (
    decode_function,
    encode_function,
    function_name,
    hash_of,
    open_function,
    seal_function,
)
from taskmesh.codec.keyring import Key, Keyring
from taskmesh.errors import BadSignature, Malformed, NewerFormat, NotPicklable, PayloadTooLarge

SIGNER = Keyring(Key.of(b"k" * 32)).signer("function", "shop")
LOCK = threading.Lock()


class Adder:
    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, x: int) -> int:
        return x + self.step

    def add(self, x: int) -> int:
        return x + self.step


def test_callables_of_all_kinds_come_back() -> None:
    step = 2
    for function in (
        lambda x: x + step,
        Adder(2),
        Adder(2).add,
        functools.partial(lambda x, y: x + y, 2),
    ):
        name, blob = encode_function(function)
        wire = seal_function(blob, SIGNER)
        assert decode_function(open_function(wire, SIGNER, expect_hash=name))(40) == 42
    assert decode_function(encode_function(math.hypot)[1]) is math.hypot


def test_the_same_function_has_the_same_hash_and_other_content_another() -> None:
    def made(step: int) -> object:
        return lambda x: x + step

    one = made(1)
    assert encode_function(one)[0] == encode_function(one)[0]
    assert encode_function(one)[0] != encode_function(made(2))[0]
    name, blob = encode_function(one)
    assert name == hash_of(blob)
    assert len(name) == 32


def test_names() -> None:
    assert function_name(math.hypot) == "math.hypot"
    assert function_name(Adder(1)) == f"{__name__}.Adder"
    assert function_name(Adder(1).add) == f"{__name__}.Adder.add"
    assert function_name(functools.partial(int)) == "functools.partial"


def test_an_exchanged_function_is_refused() -> None:
    """Both are signed: only the hash in the envelope tells which one was meant."""
    name, _ = encode_function(lambda: 1)
    _, other = encode_function(lambda: 2)
    with pytest.raises(Malformed, match=f"stored as {name} has the hash {hash_of(other)}"):
        open_function(seal_function(other, SIGNER), SIGNER, expect_hash=name)
    with pytest.raises(BadSignature):
        open_function(seal_function(other, SIGNER)[:-1], SIGNER, expect_hash=hash_of(other))
    with pytest.raises(Malformed, match="larger than the 10 bytes"):
        open_function(seal_function(other, SIGNER), SIGNER, expect_hash=hash_of(other), max_size=10)


def test_what_cannot_be_sent_is_explained() -> None:
    with pytest.raises(NotPicklable, match=r"<lambda> cannot be sent by value .*inside the function"):
        encode_function(lambda lock=threading.Lock(): lock)  # noqa: B008
    with pytest.raises(NotPicklable, match="only a callable can be run by a worker, not a int"):
        encode_function(3)  # type: ignore[arg-type]
    large = bytes(1000)
    with pytest.raises(PayloadTooLarge, match="max_message_size is 900") as caught:
        encode_function(lambda: large, max_size=900)
    assert caught.value.size > 1000
    assert caught.value.limit == 900


def test_another_python_is_named() -> None:
    _, blob = encode_function(lambda: 1)
    python, name, pickled = msgspec.msgpack.decode(blob)
    assert python == f"{sys.version_info.major}.{sys.version_info.minor}"
    foreign = msgspec.msgpack.encode(["3.99", name, pickled])
    with pytest.raises(NewerFormat, match=r"from Python 3.99, and this worker runs 3\."):
        decode_function(foreign)
    by_reference = msgspec.msgpack.decode(encode_function(math.hypot)[1])
    assert by_reference[0] == "", "a reference suits any version"


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (b"", "cannot be read"),
        (msgspec.msgpack.encode(["", "f"]), "cannot be read"),
        (msgspec.msgpack.encode(["", "\ud7ff", b"junk"]), "cannot be loaded here"),
        (
            msgspec.msgpack.encode(["", "gone.f", b"\x80\x05\x8c\x04gone\x8c\x01f\x93."]),
            "No module named 'gone'",
        ),
        (msgspec.msgpack.encode(["", "three", b"\x80\x05K\x03."]), "three is a int, which cannot be called"),
    ],
)
def test_a_blob_that_is_no_function_is_malformed(blob: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        decode_function(blob)
