"""Calls that are made later: what they hold, what may be added, what a schedule keeps of them."""

from __future__ import annotations

import pickle

import pytest

from taskmesh import Signature, TaskMesh
from taskmesh.client.signature import pack_signature
from taskmesh.codec.envelope import Envelope
from taskmesh.codec.keyring import Keyring
from taskmesh.codec.pickling import decode_call
from taskmesh.errors import UsageError, WrongArguments

mesh = TaskMesh("signatures", eager=True)
FUNCTIONS = Keyring.new().signer("function", "signatures")


@mesh.task(queue="sums", priority=7)
def add(x: int, y: int = 0) -> int:
    return x + y


def test_a_call_is_made_later() -> None:
    """With what was given then, here or by a message."""
    assert add.s(2, y=3).delay().get(1) == 5
    assert add.s(2, 3)() == 5
    assert add.s(2, 3).apply().get(1) == 5
    assert repr(add.s(2, y=3)) == f"{add.name}(2, y=3)"


def test_further_arguments_come_first_and_options_over_those_before() -> None:
    """As in Celery; an immutable one leaves arguments out, not options."""
    assert add.s(1).clone((5,)).args == (5, 1)
    assert add.s(1).delay(10).get(1) == 11
    assert add.si(1, 2).delay(10).get(1) == 3
    assert add.si(1, 2).clone((9,), {"y": 9}).args == (1, 2)
    chosen = add.s(1).set(queue="a", priority=1).set(priority=2).options
    assert chosen == {"queue": "a", "priority": 2}
    assert add.si(1).set(countdown=5).immutable
    assert add.s(1).set(immutable=True).clone((5,)).args == (1,)


def test_a_chain_is_refused_with_what_there_is_instead() -> None:
    """Celery's users write it, and a bare TypeError tells them nothing."""
    with pytest.raises(
        UsageError, match=r"\(1, 2\) \| .*\(3\): there are no chains.* send the next one from its body"
    ):
        add.s(1, 2) | add.s(3)


def test_a_call_does_not_change() -> None:
    """What is added makes another one."""
    one = add.s(1)
    one.set(queue="other")
    one.clone((2,), {"y": 4})
    assert (one.args, one.kwargs, one.options) == ((1,), {}, {})


def test_an_option_that_cannot_be_is_refused_at_once() -> None:
    """Not when the call is made, perhaps by somebody else."""
    with pytest.raises(UsageError, match="priority"):
        add.s(1).set(priority=11)
    with pytest.raises(UsageError, match="quueue"):
        add.signature((1,), quueue="x")  # type: ignore[call-arg]


def test_it_survives_pickling() -> None:
    """The task goes by its name."""
    again: Signature[int] = pickle.loads(pickle.dumps(add.s(2, 3).set(queue="a")))
    assert again == add.s(2, 3).set(queue="a")
    assert again.task is add


def test_what_a_schedule_keeps_is_the_call_and_how_it_is_sent() -> None:
    """Options of the task, then those of the call; arguments pickled once, function by value sealed."""
    call = pack_signature(add.s(2, y=3).set(expires=60, headers={"a": 1}), FUNCTIONS)
    assert (call.task, call.function, call.headers) == (add.name, "", {"a": 1})
    assert (call.options["queue"], call.options["priority"], call.options["expires_s"]) == ("sums", 7, 60.0)
    envelope = Envelope("id", call.task, call.body, call.encoding, clear_size=call.clear_size)
    assert decode_call(envelope.encoding, envelope.body, envelope.clear_size) == ((2,), {"y": 3})
    by_value = pack_signature(mesh.task(name="by.value")(lambda x: x).s(1), FUNCTIONS)
    assert by_value.function
    assert FUNCTIONS.verify(by_value.blob)


@pytest.mark.parametrize("options", [{"idempotency_key": "k"}])
def test_what_means_nothing_for_a_schedule_is_refused(options: dict[str, str]) -> None:
    """All firings but the first would be left out."""
    with pytest.raises(UsageError, match="means nothing for a schedule"):
        pack_signature(add.s(1).set(**options), FUNCTIONS)  # type: ignore[arg-type]
    with pytest.raises(WrongArguments):
        pack_signature(add.s(1, 2, 3), FUNCTIONS)


def test_keys_of_a_call_are_those_of_each_firing() -> None:
    """`unique` and `sequence_key` are computed when the schedule is defined."""
    call = pack_signature(add.s(1).set(unique="report"), FUNCTIONS)
    assert call.options["keys"][0]
    assert call.options["extras"]["keys"] == {"unique": "report"}
