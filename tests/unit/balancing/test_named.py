"""Strategies by name, those of other packages included."""

from __future__ import annotations

import sys

import pytest

from taskmesh import TaskMesh
from taskmesh.balancing.named import BUILT_IN, check_strategy, chosen_strategy, strategy_named
from taskmesh.config.strategies import STRATEGIES
from taskmesh.errors import ConfigError

PACKAGE = '''
from taskmesh.balancing import Strategy

class Last(Strategy):
    """The last queue first."""

    def choose(self, sources, loads, rng):
        return list(reversed(sources))

def broken():
    raise OSError("no table of tenants")
'''


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that adds strategies, as pip would have installed it."""
    (tmp_path / "tenants.py").write_text(PACKAGE)
    about = tmp_path / "tenants-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tenants\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[taskmesh.strategies]\nlast-first = tenants:Last\nbroken = tenants:broken\nnone = builtins:dict\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("tenants", None)


def test_the_names_that_settings_know_are_those_that_there_are():
    assert set(STRATEGIES) == set(BUILT_IN)
    assert [type(strategy_named(name)) for name in STRATEGIES] == [BUILT_IN[name] for name in STRATEGIES]


@pytest.mark.parametrize(
    ("name", "nearest"), [("wieghted", "weighted"), ("longest", "longest-queue"), ("zzzz", None)]
)
def test_an_unknown_name_is_refused_with_the_nearest_and_the_list(name, nearest):
    with pytest.raises(ConfigError) as caught:
        check_strategy(name)
    assert caught.value.nearest == nearest
    assert all(known in str(caught.value) for known in (name, *STRATEGIES))


def test_a_setting_is_refused_likewise():
    with pytest.raises(ConfigError, match="did you mean priority"):
        TaskMesh("named", strategy="prority")
    assert TaskMesh("named").settings.strategy == "round-robin"
    assert TaskMesh("named", strategy="priority").settings.strategy == "priority"


def test_another_package_adds_one(installed):
    from taskmesh.balancing import Source

    sources = [Source("", "a"), Source("", "b")]
    assert strategy_named("last-first").choose(sources, None, None) == sources[::-1]
    assert TaskMesh("named", strategy="last-first").settings.strategy == "last-first"


def test_what_is_added_is_loaded_only_when_it_is_named(installed):
    check_strategy("last-first")
    assert "tenants" not in sys.modules
    with pytest.raises(ConfigError, match="last-first"):
        check_strategy("lsat-first")
    assert "tenants" not in sys.modules


@pytest.mark.parametrize(
    ("name", "said"), [("broken", "OSError: no table of tenants"), ("none", "has to derive from")]
)
def test_one_that_cannot_be_made_is_refused_with_the_reason(installed, name, said):
    with pytest.raises(ConfigError, match=said):
        strategy_named(name)


def test_weights_mean_the_one_that_reads_them(installed):
    assert chosen_strategy("", {"mail": 3}, "random") == "weighted"
    assert chosen_strategy("", {}, "random") == "random"
    assert chosen_strategy("last-first", {"mail": 3}) == "last-first"
    with pytest.raises(ConfigError, match="'priority' reads no weights, and mail=3"):
        chosen_strategy("priority", {"mail": 3})
