"""Whether all servers that are named may become the nodes of a mesh: looked at before its first view is made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Reply, Round, all_answered
from taskmesh.errors import ConfigError
from taskmesh.nodes.fit_node import why_unfit
from taskmesh.nodes.node_facts import ASK_CONFIG, ASK_INFO, facts_in

if TYPE_CHECKING:
    from taskmesh.nodes.mesh_driver import MeshDriver

_QUESTIONS = (ASK_INFO, ASK_CONFIG, (b"TIME",))


def refuse_unfit(driver: MeshDriver, nodes: Sequence[str], durability: str, within_s: float | None) -> None:
    """Refuse servers that cannot be nodes; what they hold already, and who is silent, is seen to elsewhere.

    Args:
        driver: Speaks with them.
        nodes: Their addresses.
        durability: What the data of the mesh is to survive.
        within_s: How long the caller has; None for as long as it takes.

    Raises:
        ConfigError: One cannot be a node; the text says of each that cannot why, and what to do.
    """
    calls = [Call(None, b"", words, node=node) for node in nodes for words in _QUESTIONS]
    asked_s = time.monotonic()
    replies = driver.perform(Round(calls, all_answered), None if within_s is None else asked_s + within_s)
    took_s = time.monotonic() - asked_s
    told = [replies[at : at + len(_QUESTIONS)] for at in range(0, len(replies), len(_QUESTIONS))]
    unfit = [
        f"{node} cannot be a node: {'; '.join(whys)}"
        for node, answers, offset_s in zip(nodes, told, _offsets_s(told, took_s), strict=True)
        if (whys := list(_whys(answers, offset_s, durability)))
    ]
    if unfit:
        raise ConfigError(". ".join(unfit), setting="nodes")


def _whys(answers: Sequence[Reply], offset_s: float, durability: str) -> Iterator[str]:
    info, asked, _ = answers
    if isinstance(info, NodeError):
        yield f"it refuses: INFO: {info.text}"
    elif isinstance(info, bytes):
        words = asked if isinstance(asked, list) else []  # an account without the right to ask
        yield from why_unfit(facts_in(info, words), None, offset_s, durability)


def _offsets_s(told: Sequence[Sequence[Reply]], took_s: float) -> list[float]:
    """Return by how much each clock is, for sure, ahead of the middle one, in seconds; 0 of one that is not told.

    Args:
        told: What each node answered.
        took_s: How long that took: so far apart are answers that were given one after the other.
    """
    times_s = [
        None if isinstance(time_, (Refused, NoAnswer, NodeError)) else int(time_[0]) + int(time_[1]) / 1e6
        for _, _, time_ in told
    ]
    known_s = sorted(each for each in times_s if each is not None)
    middle_s = known_s[len(known_s) // 2] if known_s else 0.0
    offsets_s = [0.0 if each is None else each - middle_s for each in times_s]
    return [
        0.0 if abs(each) <= took_s else each - took_s if each > 0 else each + took_s for each in offsets_s
    ]
