"""The page of settings says what the table of settings says."""

from __future__ import annotations

import re

import pytest

from taskmesh.config.settings import SETTINGS
from taskmesh.config.sources import OTHER_VARIABLES
from tests.tidy.tree import ROOT

PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text()
ROWS = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", PAGE, re.MULTILINE))


def test_every_setting_stands_there_once():
    names = re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE)
    assert sorted(names) == sorted(SETTINGS)


def test_every_other_variable_stands_there():
    assert set(re.findall(r"^\| `(TASKMESH_[A-Z_]+)` \|", PAGE, re.MULTILINE)) == OTHER_VARIABLES


@pytest.mark.parametrize("name", SETTINGS)
def test_its_default_is_the_one_that_holds(name):
    told, setting = ROWS[name], SETTINGS[name]
    if told == "CPUs":
        assert callable(setting.default)
    elif told == "none":
        assert setting.default in (None, ())
    else:
        assert setting.read(told.strip("`")) == setting.default_value()
