"""Digests of values: equal contents, equal digest; other contents, another one; in every process."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import fractions
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmesh.codec.fingerprint import fingerprint
from taskmesh.errors import UsageError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner), max_leaves=6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(HASHABLE, inner) | st.sets(HASHABLE)
    ),
    max_leaves=12,
)


class Colour(enum.Enum):
    """One of two."""

    RED = 1
    BLUE = 2


@dataclass
class Order:
    """Something with parts."""

    number: int
    lines: list[str]


def shape(value):
    """Return a value that is equal exactly if contents and types are."""
    if isinstance(value, dict):
        return ("dict", frozenset((shape(key), shape(item)) for key, item in value.items()))
    if isinstance(value, set | frozenset):
        return (type(value), frozenset(map(shape, value)))
    if isinstance(value, list | tuple):
        return (type(value), tuple(map(shape, value)))
    return (type(value), repr(value))


@given(VALUES)
def test_a_copy_has_the_same_digest(value):
    assert fingerprint(pickle.loads(pickle.dumps(value))) == fingerprint(value)


@given(VALUES, VALUES)
def test_digests_are_equal_exactly_where_contents_and_types_are(one, other):
    assert (fingerprint(one) == fingerprint(other)) == (shape(one) == shape(other))


@settings(max_examples=25)
@given(st.dictionaries(HASHABLE, VALUES, max_size=6), st.randoms())
def test_the_order_of_a_dict_does_not_count(value, random):
    items = list(value.items())
    random.shuffle(items)
    assert fingerprint(dict(items)) == fingerprint(value)


def test_equal_texts_that_are_one_object_or_two():
    """A pickle tells these apart."""
    one, two = "".join(["a", "b" * 40]), "".join(["a", "b" * 40])
    assert one is not two
    assert pickle.dumps((one, one)) != pickle.dumps((one, two))
    assert fingerprint((one, one)) == fingerprint((one, two))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        ([1, 2], (1, 2)),
        ([1, 2], [2, 1]),
        (["a", "b"], ["ab"]),
        ([[], [1]], [[1], []]),
        ({"a": "b"}, {"b": "a"}),
        (b"x", "x"),
        (Colour.RED, Colour.BLUE),
        (Order(1, ["a"]), Order(1, ["b"])),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1)),  # noqa: DTZ001
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (len, print),
        (int, str),
    ],
)
def test_these_differ(one, other):
    assert fingerprint(one) != fingerprint(other)


VARIOUS = [
    {"texts", "in", "a", "set", "whose", "order", "differs"},
    Order(3, ["x"]),
    Colour.RED,
    pathlib.PurePosixPath("/a/b"),
    uuid.UUID(int=5),
    fractions.Fraction(1, 3),
    decimal.Decimal("1.50"),
    collections.defaultdict(list, {"a": [1]}),
    range(3),
    Order,
    dt.timedelta(seconds=3),
    1 + 2j,
]


def various() -> str:
    """Return the digests of some values."""
    return " ".join(fingerprint(value).hex() for value in VARIOUS)


def test_another_process_finds_the_same_digests():
    """There, texts hash differently, so sets have another order."""
    program = "from tests.unit.codec.test_fingerprint import various; print(various())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == various()


def circle():
    """Return a list that contains itself."""
    value: list[object] = []
    value.append(value)
    return value


def nested(depth: int):
    """Return lists in lists."""
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [lambda: 1, threading.Lock(), circle(), nested(100_000), (n for n in "x"), {"deep": [sys]}]
)
def test_what_cannot_be_told_by_its_contents_is_refused(value):
    with pytest.raises(UsageError, match=r"told by its contents"):
        fingerprint(value)
