"""Strategies by name: those that come with TaskMesh, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from taskmesh.balancing.longest import LongestQueue, TwoChoices
from taskmesh.balancing.plain import Priority, Random, RoundRobin
from taskmesh.balancing.strategy import Strategy
from taskmesh.balancing.weighted import Weighted
from taskmesh.config.strategies import GROUP, strategy_name
from taskmesh.config.values import NotOneOf
from taskmesh.errors import ConfigError

BUILT_IN: Mapping[str, Callable[[], Strategy]] = {
    "round-robin": RoundRobin,
    "weighted": Weighted,
    "priority": Priority,
    "random": Random,
    "longest-queue": LongestQueue,
    "two-choices": TwoChoices,
}


#: Of those that come with TaskMesh, the one that reads weights; without a name, weights mean it.
BY_WEIGHT = "weighted"


def chosen_strategy(name: str, weights: Mapping[str, int], otherwise: str = "") -> str:
    """Return the strategy that is meant by a name, by weights, or by neither.

    Args:
        name: Empty if none was given.
        weights: Of queues; empty if none were given.
        otherwise: What is meant by neither.

    Raises:
        ConfigError: As `check_strategy`; or the one that is named reads no weights.
    """
    if not name:
        return BY_WEIGHT if weights else otherwise
    check_strategy(name)
    if weights and name in BUILT_IN and name != BY_WEIGHT:
        shown = ", ".join(f"{queue}={weight}" for queue, weight in weights.items())
        raise ConfigError(
            f"strategy {name!r} reads no weights, and {shown} gives some; leave them out, or use {BY_WEIGHT!r}",
            setting="strategy",
            value=name,
        )
    return name


def check_strategy(name: object) -> str:
    """Return the name of a strategy that there is; nothing is loaded.

    Raises:
        ConfigError: There is none of that name. The text has the nearest, and all there are.
    """
    try:
        return strategy_name(name)
    except NotOneOf as error:
        near = get_close_matches(str(name).lower(), error.choices, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(
            f"strategy {name!r} is unknown; {hint}it is one of {', '.join(error.choices)}",
            setting="strategy",
            value=name,
            nearest=near[0] if near else None,
        ) from None


def strategy_named(name: str) -> Strategy:
    """Return a new strategy of a name.

    Raises:
        ConfigError: There is none of that name, or the package that adds it cannot be loaded, or what it adds makes
            no strategy.
    """
    made = BUILT_IN.get(check_strategy(name))
    return made() if made is not None else _added(name)


def _added(name: str) -> Strategy:
    from importlib.metadata import entry_points

    (entry, *_) = entry_points(group=GROUP, name=name)
    try:
        strategy = entry.load()()
    except Exception as error:
        raise ConfigError(
            f"strategy {name!r} ({entry.value}, entry point of {GROUP}) cannot be made: "
            f"{type(error).__name__}: {error}",
            setting="strategy",
            value=name,
        ) from error
    if not isinstance(strategy, Strategy):
        raise ConfigError(
            f"strategy {name!r} ({entry.value}, entry point of {GROUP}) makes {strategy!r}; it has to derive from "
            "taskmesh.balancing.Strategy",
            setting="strategy",
            value=name,
        )
    return strategy
