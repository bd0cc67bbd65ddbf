"""The brokers of a mesh as its workers tell of them, so that whoever looks need not know any address. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskmesh.client.inspect import BEATS_MISSED_MAX

if TYPE_CHECKING:
    from taskmesh.client.inspect import Worker

#: So many workers are named.
NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class BrokerSeen:
    """A broker.

    Attributes:
        address: Without a password.
        hear: Names of the workers that hear its tickets.
        deaf: Names of those that do not, each with why.
        others: Names of those of which it is not known: they do not listen, or their heartbeats are late.
    """

    address: str
    hear: tuple[str, ...] = ()
    deaf: tuple[tuple[str, str], ...] = ()
    others: tuple[str, ...] = ()

    @property
    def trouble(self) -> str:
        """Who does not hear it and why, in words; empty where nobody says so."""
        if not self.deaf:
            return ""
        whys = list(dict.fromkeys(why.removeprefix(f"broker {self.address}").strip() for _, why in self.deaf))
        told = len(self.deaf) + len(self.hear)
        who = f"{len(self.deaf):,} of {told:,} workers ({named([name for name, _ in self.deaf])})"
        return f"not heard by {who}: {whys[0]}{', and other reasons' if len(whys) > 1 else ''}"

    def in_words(self) -> str:
        """Return how it is."""
        told = [f"heard by {len(self.hear):,} worker{'s'[: len(self.hear) != 1]}"] if self.hear else []
        told += [self.trouble] if self.deaf else []
        return f"{self.address}, {'; '.join(told) or 'no worker tells whether it is heard'}"

    def as_json(self) -> dict[str, Any]:
        """Return what programs may want to know."""
        return {
            "broker": self.address,
            "ok": not self.deaf if self.hear or self.deaf else None,
            "heard_by": list(self.hear),
            "not_heard_by": [{"worker": name, "reason": why} for name, why in self.deaf],
            "not_known_of": list(self.others),
        }


def brokers_of(workers: Sequence[Worker], now_ms: int) -> tuple[BrokerSeen, ...]:
    """Return the brokers of which live workers tell, by address.

    Args:
        workers: As they are looked at.
        now_ms: On the clock of the nodes: what a worker said long ago says nothing of now.
    """
    hear: dict[str, list[str]] = {}
    deaf: dict[str, list[tuple[str, str]]] = {}
    others: dict[str, list[str]] = {}
    for worker in workers:
        report = worker.report
        if worker.state != "live" or report is None or report.broker is None:
            continue
        broker = report.broker
        is_late = now_ms - report.at_ms > BEATS_MISSED_MAX * report.beat_s * 1000
        if is_late or broker.hears is None:
            others.setdefault(broker.shown, []).append(worker.name)
        elif broker.hears:
            hear.setdefault(broker.shown, []).append(worker.name)
        else:
            deaf.setdefault(broker.shown, []).append((worker.name, broker.trouble))
    return tuple(
        BrokerSeen(
            address,
            tuple(hear.get(address, ())),
            tuple(deaf.get(address, ())),
            tuple(others.get(address, ())),
        )
        for address in sorted({*hear, *deaf, *others})
    )


def named(names: Sequence[str]) -> str:
    """Return names in words, of many the first."""
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" and {more:,} more" if more > 0 else "")
