"""What is refused when it is sent, since the function would refuse it on the worker."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import pickle

import pytest

from taskmesh import TaskMesh
from taskmesh.client.arguments import Arguments
from taskmesh.errors import UsageError, WrongArguments


@pytest.mark.parametrize("option", ["queue", "countdown", "task_id"])
@pytest.mark.parametrize("way", ["submit", "delay"])
def test_an_option_among_the_arguments_is_told_where_it_goes(option, way):
    mesh = TaskMesh("options", eager=True)
    send = functools.partial(mesh.submit, _one) if way == "submit" else mesh.task(_one).delay
    with pytest.raises(WrongArguments, match=rf"task\.apply_async\(args, {option}=\.\.\.\).*mesh\.by_value"):
        send(1, **{option: "x"})
    assert (
        mesh.by_value(_one).apply_async((1,), **({option: "x"} if option != "countdown" else {})).get() == 1
    )


def test_an_argument_that_is_named_like_an_option_is_no_option():
    mesh = TaskMesh("options", eager=True)
    with pytest.raises(WrongArguments, match="typing=False"):
        mesh.submit(lambda queue: queue, 1, queue=2)


def _one(x):
    return x


class Called:
    """A callable object."""

    def __call__(self, a, b=1):
        """Take what a function takes."""


def _decorated(function):
    @functools.wraps(function)
    def given_one_more(*args, **kwargs):
        return function("more", *args, **kwargs)

    return given_one_more


# each is called with what it takes and what it does not
SHAPES = [
    lambda: None,
    lambda a: None,
    lambda a, b=1: None,
    lambda a, b: None,
    lambda a, /: None,
    lambda a, /, b=1: None,
    lambda a, b=1, /, c=2: None,
    lambda *a: None,
    lambda a, *b: None,
    lambda **c: None,
    lambda a, **c: None,
    lambda a, /, **c: None,
    lambda *, a: None,
    lambda *, a=1: None,
    lambda a, *, b: None,
    lambda a, *b, c: None,
    lambda a=1, *b, c=2, **d: None,
    Called(),
    Called,
    functools.partial(lambda a, b: None, 1),
    functools.partial(lambda a, b: None, b=1),
    functools.partial(lambda a, b, c=1: None, 1, c=2),
    _decorated(lambda one_more, a: None),
]


@pytest.mark.parametrize("function", SHAPES)
def test_it_judges_as_the_function_itself(function):
    takes = Arguments("t", function)
    signature = inspect.signature(function, follow_wrapped=False)
    for count in range(5):
        for names in itertools.chain.from_iterable(itertools.combinations("abcd", n) for n in range(4)):
            kwargs = dict.fromkeys(names, 0)
            try:
                signature.bind(*range(count), **kwargs)
            except TypeError:
                with pytest.raises(WrongArguments):
                    takes.check(tuple(range(count)), kwargs)
                if not kwargs:
                    with pytest.raises(WrongArguments):
                        takes.checked(range(count))
            else:
                takes.check(tuple(range(count)), kwargs)
                if not kwargs:
                    assert takes.checked(range(count)) == tuple(range(count))


def test_a_signature_that_cannot_be_read_takes_anything():
    """Builtins written in C may have none."""
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(min)
    Arguments("t", min).check((), {"what": 1})
    assert Arguments("t", min).checked(range(9)) == tuple(range(9))


@pytest.fixture
def mesh(monkeypatch):
    mesh = TaskMesh("arguments", eager=True)
    monkeypatch.setattr(mesh, "address", lambda: pytest.fail("something was sent"))
    return mesh


def add(x: int, y: int) -> int:
    return x + y


def test_every_way_to_send_refuses_what_the_task_does_not_take(mesh):
    task = mesh.task(add)
    for send in (
        lambda: task.delay(1),
        lambda: task.delay(1, 2, 3),
        lambda: task.delay(1, z=2),
        lambda: task.delay(1, 2, y=2),
        lambda: task.apply_async((1,)),
        lambda: task.apply_async((), {"x": 1}),
        lambda: task.starmap([(1, 2), (3,)]),
        lambda: task.map([1, 2]),
        lambda: mesh.submit(add, 1),
        lambda: mesh.submit(lambda x: x),
        lambda: asyncio.run(task.adelay(1)),
        lambda: asyncio.run(task.aapply_async((1,))),
    ):
        with pytest.raises(WrongArguments):
            send()
    assert task.delay(1, y=2).get() == 3
    assert task.delay(y=1, x=2).get() == 3
    assert task.starmap([(1, 2), [3, 4]]).get() == [3, 7]
    assert task.map([]).get() == [], "nothing is called"


def test_the_error_names_the_task_and_what_is_missing(mesh):
    task = mesh.task(name="sums.add")(add)
    with pytest.raises(
        TypeError, match=r"sums\.add .*missing a required argument: 'y'.*takes \(x, y\)"
    ) as caught:
        task.delay(1)
    assert isinstance(caught.value, UsageError)
    assert caught.value.task == "sums.add"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (WrongArguments, str(caught.value))


def test_a_bound_task_is_judged_without_its_first_argument(mesh):
    task = mesh.task(bind=True)(lambda self, x: (self.name, x))
    assert task.delay(1).get() == (task.name, 1)
    for args in ((), (1, 2)):
        with pytest.raises(WrongArguments, match=r"takes \(x\)"):
            task.delay(*args)


def test_typing_false_leaves_it_to_the_worker(mesh):
    task = mesh.task(typing=False)(add)
    for handle in (task.delay(1), task.apply_async((1,), {"z": 1}), *task.starmap([(1,)]), *task.map([1])):
        assert isinstance(handle.get(propagate=False), TypeError)
        assert not isinstance(handle.get(propagate=False), WrongArguments)


@pytest.mark.parametrize("args", ["abc", b"abc", bytearray(b"abc"), 5, None, {"a": 1}])
def test_what_is_no_row_of_arguments_is_refused(args):
    """A text is one argument, and would be sent as one for each letter."""
    task = TaskMesh("arguments", eager=True).task(typing=False, name="anything")(print)
    for call in (task.apply_async, task.apply, lambda args: asyncio.run(task.aapply_async(args))):
        with pytest.raises(
            WrongArguments, match=r"task anything was given args=.*expected a tuple or a list"
        ):
            call(args)
    with pytest.raises(WrongArguments, match="expected a tuple or a list"):
        task.starmap([(1,), args])


@pytest.mark.parametrize("kwargs", [[1], "a", 5, {1: 2}, [("a", 1)]])
def test_what_names_no_arguments_is_refused(kwargs):
    task = TaskMesh("arguments", eager=True).task(typing=False, name="anything")(print)
    for call in (task.apply_async, task.apply, lambda *given: asyncio.run(task.aapply_async(*given))):
        with pytest.raises(WrongArguments, match=r"task anything was given kwargs=.*expected a dict"):
            call((), kwargs)


def test_any_other_row_of_arguments_is_taken():
    task = TaskMesh("arguments", eager=True).task(name="row")(lambda *args: list(args))
    for args in ([1, 2], (1, 2), iter([1, 2]), range(1, 3)):
        assert task.apply_async(args).get() == [1, 2]
    assert task.apply_async((), {}).get() == task.apply_async().get() == []


def test_new_arguments_of_a_retry_are_no_text():
    @TaskMesh("arguments", eager=True).task(bind=True, default_retry_delay=0)
    def again(self, *words):
        raise self.retry(args="abc")

    with pytest.raises(WrongArguments, match="args='abc'"):
        again.apply(("x",)).get()
