"""Keys of calls: how they are read, what they are made of, and where they lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh import TaskMesh, Unique
from taskmesh.client.keys import call_keys, keys_again, read_unique
from taskmesh.core.ids import routing_of
from taskmesh.errors import UsageError

mesh = TaskMesh("keys", eager=True)


def charge(order: int, amount: int = 0, *, note: str = "") -> None:
    """Do nothing; what counts are the parameters."""


task = mesh.task(charge)


def keys_of(args=(), kwargs=None, task_name="charge", task_id=None, **options):
    return call_keys(task_name, charge, args, kwargs or {}, task.send_options(options), task_id)


def unique_of(*args, **kwargs):
    return keys_of(args, kwargs, unique=True).wire[0]


ORDERS, AMOUNTS, NOTES = st.integers(), st.integers(), st.text()


@given(ORDERS, AMOUNTS, NOTES)
def test_equal_arguments_have_one_key_however_they_are_passed(order, amount, note):
    key = unique_of(order, amount, note=note)
    assert len(key) == 32
    assert unique_of(order, amount=amount, note=note) == key
    assert unique_of(note=note, amount=amount, order=order) == key
    if not note:
        assert unique_of(order, amount) == key
    if not (amount or note):
        assert unique_of(order) == key


@given(st.tuples(ORDERS, AMOUNTS), st.tuples(ORDERS, AMOUNTS))
def test_other_arguments_have_another_key(one, other):
    assert (unique_of(*one) == unique_of(*other)) == (one == other)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_messages_of_different_tasks_are_never_alike(one, other, text):
    keys = [keys_of(task_name=name, unique=text).wire[0] for name in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


@given(st.text(min_size=1, max_size=500))
def test_a_message_lives_where_its_key_leads(text):
    assert keys_of(sequence_key=text).routing == routing_of(text)
    assert keys_of(idempotency_key=text).routing == routing_of(text)
    assert keys_of(unique=text).routing == routing_of(text)
    assert keys_of(unique=text, sequence_key=text, idempotency_key=text).routing == routing_of(text)


def test_an_id_that_leads_where_the_key_does_may_be_given():
    assert keys_of(unique="order-5", task_id="order-5").routing == routing_of("order-5")


def test_a_key_may_be_made_of_the_arguments():
    made = keys_of((5,), {"note": "x"}, sequence_key=lambda order, note: f"{order}{note}")
    assert made.told == {"sequence_key": "5x"}
    assert made.wire == keys_of(sequence_key="5x").wire
    made = keys_of((5,), unique={"key": lambda order: f"o{order}", "ttl": "2s", "until": "started"})
    assert made.wire[1:3] == (b"s", b"2000")


@pytest.mark.parametrize(
    "options",
    [
        {"unique": True},
        {"unique": {"key": "x", "ttl": "2s", "until": "started"}},
        {"idempotency_key": "x"},
        {"sequence_key": "x"},
        {"unique": "x", "idempotency_key": "x", "sequence_key": "x"},
    ],
)
def test_a_message_that_is_sent_again_has_the_keys_that_its_envelope_tells(options):
    first = keys_of((5,), **options)
    again = keys_again("charge", first.told, "old-id")
    assert (again.routing, again.told, again.given_for) == (first.routing, first.told, first.given_for)
    assert again.wire == (*first.wire[:-1], b"old-id")


def test_a_call_that_will_fail_has_a_key_as_well():
    assert unique_of("too", "many", "arguments") == unique_of("too", "many", "arguments")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"unique": "a", "sequence_key": "b"}, "unique='a' and sequence_key='b' lead to different slots"),
        ({"idempotency_key": "a", "sequence_key": "b"}, "idempotency_key='a' and sequence_key='b'"),
        ({"sequence_key": "b", "task_id": "x"}, "sequence_key='b' and task_id='x'"),
        ({"unique": ""}, "1 to 500"),
        ({"unique": "x" * 501}, "501"),
        ({"unique": 5}, "unique=5"),
        ({"unique": lambda: 5}, "what unique= returns=5"),
        ({"unique": {"key": "a", "until": "ended"}}, "'started' or 'finished'"),
        ({"unique": {"ttl": 0}}, "ttl=0"),
        ({"unique": {"tll": 5}}, "'tll'"),
        ({"idempotency_key": lambda: "x"}, "expected a text"),
        ({"sequence_key": "\ud800"}, "UTF-8"),
        ({"sequence_key": "x", "countdown": 5}, "countdown=5 and sequence_key='x'"),
    ],
)
def test_keys_that_cannot_be_are_refused_by_name(options, text):
    with pytest.raises(UsageError, match=text):
        keys_of(**options)


def test_arguments_that_cannot_be_told_apart_need_a_text():
    with pytest.raises(UsageError, match="give a text, or a function that makes one"):
        unique_of(lambda: 1)


def test_false_is_no_key():
    assert read_unique(False) is None
    once = mesh.task(name="once", unique=True)(charge)
    assert once.send_options({}).unique == Unique()
    assert once.send_options({"unique": False}).unique is None
    assert once.send_options({"unique": "x"}).unique == Unique("x")


def test_an_eager_mesh_remembers_what_an_idempotency_key_was_given_for():
    from taskmesh.errors import IdempotencyConflict

    first = task.apply_async((1,), idempotency_key="k")
    again = task.apply_async((1,), idempotency_key="k")
    assert (again.id, again.duplicate, first.duplicate) == (first.id, True, False)
    assert task.apply_async((1,), idempotency_key="other").id != first.id
    with pytest.raises(IdempotencyConflict) as refused:
        task.apply_async((2,), idempotency_key="k")
    assert (refused.value.first_id, refused.value.first_task) == (first.id, task.name)


def test_what_may_run_only_once_is_not_tried_again_by_itself():
    with pytest.raises(UsageError, match="at_most_once=True and autoretry_for"):
        mesh.task(name="twice", at_most_once=True, autoretry_for=(OSError,))(charge)
    assert mesh.task(name="once only", at_most_once=True)(charge).send_options({}).at_most_once
