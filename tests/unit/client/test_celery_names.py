"""Names of Celery that there are not: each is answered with what there is."""

from __future__ import annotations

import copy
import re

import pytest

import taskmesh
from taskmesh import TaskMesh
from taskmesh.client.elsewhere_names import OF_GET, OF_MESHES, OF_RESULTS, OF_TASKS, OF_THE_PACKAGE
from taskmesh.errors import UsageError

MESH = TaskMesh("names", eager=True)
TASK = MESH.task(name="names.len")(len)
RESULT = TASK.delay("abc")
NAMES = [
    (thing, name, instead)
    for thing, names in ((MESH, OF_MESHES), (TASK, OF_TASKS), (RESULT, OF_RESULTS))
    for name, instead in names.items()
]


@pytest.mark.parametrize(("thing", "name", "instead"), NAMES)
def test_a_name_of_celery_is_answered_with_what_there_is(thing, name, instead):
    with pytest.raises(AttributeError, match=rf"{name!r}, which is a name of Celery: {re.escape(instead)}$"):
        getattr(thing, name)


@pytest.mark.parametrize("name", OF_THE_PACKAGE)
def test_an_import_of_a_name_of_celery_is_answered_too(name):
    said = f"name {name!r} of Celery is not in 'taskmesh': {re.escape(OF_THE_PACKAGE[name])}$"
    with pytest.raises(ImportError, match=said):
        exec(f"from taskmesh import {name}")
    with pytest.raises(AttributeError, match=said):
        getattr(taskmesh, name)
    assert not hasattr(taskmesh, name)


@pytest.mark.parametrize("thing", [MESH, TASK, RESULT, taskmesh])
@pytest.mark.parametrize("name", ["no_such_name", "__no_such__", "_private"])
def test_any_other_name_is_missing_as_ever(thing, name):
    with pytest.raises(AttributeError, match=f"has no attribute {name!r}$"):
        getattr(thing, name)
    assert not hasattr(thing, name)


def test_what_python_itself_looks_for_is_left_alone():
    assert copy.copy(TASK) is not None
    assert callable(TASK)
    assert not hasattr(RESULT, "__len__")


@pytest.mark.parametrize("name", OF_GET)
def test_an_option_of_celerys_get_is_answered_with_what_there_is(name):
    with pytest.raises(UsageError, match=f"{name!r} is an option of Celery.*{re.escape(OF_GET[name])}"):
        RESULT.get(**{name: 1})


def test_another_option_of_get_is_refused():
    with pytest.raises(UsageError, match="'timeuot'; it knows timeout and propagate"):
        RESULT.get(timeuot=1)
