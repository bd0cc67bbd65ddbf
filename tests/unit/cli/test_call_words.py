"""`taskmesh call`: what its words mean."""

from __future__ import annotations

import click
import pytest

from taskmesh.app import TaskMesh
from taskmesh.cli.call import argument, call, full_name, keyword_arguments
from taskmesh.cli.failure import Failure


@pytest.fixture
def mesh() -> TaskMesh:
    made = TaskMesh("words")
    for name in ("shop.mail.send", "shop.sms.send", "shop.mail.fetch"):
        made.task(name=name)(len)
    return made


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        ("\0-1", -1),
        ("true", True),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', {"a": 1}),
        ('"7"', "7"),
        ("ann@example.org", "ann@example.org"),
        ("007", "007"),
        ("NaN", "NaN"),
        ("", ""),
    ],
)
def test_a_word_is_json_if_it_can_be(word, value):
    assert argument(word) == value
    assert type(argument(word)) is type(value)


def test_negative_numbers_are_arguments_and_no_options():
    context = call.make_context("call", ["add", "-1", "-.5", "--wait", "3", "-A", "app:mesh"])
    assert [argument(word) for word in context.params["args"]] == [-1, "-.5"]
    assert context.params["wait_s"] == 3


def test_a_misspelled_option_is_no_argument():
    with pytest.raises(click.NoSuchOption):
        call.make_context("call", ["add", "--wiat", "3"])


def test_a_name_may_be_the_end_of_one(mesh):
    assert full_name("shop.sms.send", mesh) == "shop.sms.send"
    assert full_name("fetch", mesh) == "shop.mail.fetch"
    assert full_name("sms.send", mesh) == "shop.sms.send"


def test_an_end_of_several_names_is_refused(mesh):
    with pytest.raises(Failure, match=r"several.*shop.mail.send, shop.sms.send"):
        full_name("send", mesh)


def test_the_end_of_a_word_is_not_the_end_of_a_name(mesh):
    with pytest.raises(Failure, match=r"no task 'etch'; did you mean shop.mail.fetch"):
        full_name("etch", mesh)


def test_keyword_arguments_are_an_object():
    assert keyword_arguments('{"x": [1]}') == {"x": [1]}
    assert keyword_arguments(None) == {}
    for text in ("[1]", "{", "x=1"):
        with pytest.raises(click.BadParameter):
            keyword_arguments(text)


def test_what_is_nested_too_deeply_is_refused():
    deep = "[" * 100_000
    with pytest.raises(click.BadParameter, match=r"'\[+'\.\.\. is nested too deeply to be read as JSON"):
        argument(deep)
    with pytest.raises(click.BadParameter, match="is nested too deeply to be read as JSON"):
        keyword_arguments('{"a": ' + deep)
