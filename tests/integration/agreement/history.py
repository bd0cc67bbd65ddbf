"""Judging what several processes were told of one register to which all append."""

from __future__ import annotations

from typing import Any

from tests.integration.agreement.appender import digest


def check(history: list[dict[str, Any]], chain: list[int]) -> None:
    """Fail unless the history fits a register on which each act takes effect at one moment between begin and end.

    Args:
        history: What all processes wrote down.
        chain: What the register holds after all.
    """
    assert len(set(chain)) == len(chain), "a change was made twice"
    place = {item: at for at, item in enumerate(chain)}
    for act in history:
        if act["kind"] != "read":
            if act["outcome"] == "ok":
                assert act["item"] in place, f"what was acknowledged is gone: {act}"
            elif act["outcome"] == "no":
                assert act["item"] not in place, f"what was certainly not done, is: {act}"
        elif act["outcome"] == "ok":
            assert digest(chain[: act["length"]]) == act["digest"], f"another chain was seen: {act}"
    _check_order([act for act in history if act["outcome"] == "ok"], place)


def _check_order(history: list[dict[str, Any]], place: dict[int, int]) -> None:
    """Fail if an act that began after another had ended does not stand after it."""
    by_end = sorted(history, key=lambda act: act["ended_s"])
    least, at = 0, 0
    for act in sorted(history, key=lambda act: act["begun_s"]):
        while at < len(by_end) and by_end[at]["ended_s"] < act["begun_s"]:
            least = max(least, _after(by_end[at], place))
            at += 1
        assert _after(act, place) >= least + (act["kind"] != "read"), (
            f"it stands before what was ended: {act}"
        )


def _after(act: dict[str, Any], place: dict[int, int]) -> int:
    """Return how long the chain was at least when an act had taken effect."""
    return act["length"] if act["kind"] == "read" else place[act["item"]] + 1
