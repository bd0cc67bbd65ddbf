"""Metrics as text: Prometheus' format 0.0.4, and OpenMetrics 1.0 for those who ask for it.

The library `prometheus_client` is not used for that: importing it costs a supervisor more (2 MB, 20 ms) than the
server and all pages together, it keeps a registry and stores of its own beside what children share, and what is
needed of it are these lines. The tests read them with its parsers, and with `promtool`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from taskmesh.metrics.buckets import BOUNDS_S
from taskmesh.metrics.catalogue import CATALOGUE, COUNTER, Metric

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram: how many fell into each bucket, and their sum in seconds."""

    counts: Sequence[int]
    sum_s: float


Value: TypeAlias = float | Distribution


class Samples:
    """Values of metrics that are in the catalogue."""

    def __init__(self) -> None:
        """Begin with none."""
        self._values: dict[str, dict[tuple[str, ...], Value]] = {}

    def put(self, name: str, value: Value, *labels: str) -> None:
        """Give a metric its value for some labels, in the order of the catalogue."""
        metric = CATALOGUE[name]
        if len(labels) != len(metric.labels):
            raise ValueError(f"{name} has the labels {metric.labels}, and was given {labels}")
        self._values.setdefault(name, {})[labels] = value

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add to a value, which is 0 at first."""
        known = self._values.get(name, {}).get(labels, 0)
        if isinstance(known, Distribution):
            raise TypeError(f"{name} is a histogram")
        self.put(name, known + value, *labels)

    def greatest(self, name: str, value: float, *labels: str) -> None:
        """Give a metric the greatest of the values that it is given."""
        known = self._values.get(name, {}).get(labels, -math.inf)
        if isinstance(known, Distribution):
            raise TypeError(f"{name} is a histogram")
        self.put(name, max(known, value), *labels)

    def update(self, other: Samples) -> None:
        """Take over all values of others."""
        for name, its in other._values.items():
            self._values.setdefault(name, {}).update(its)

    def text(self, *, open_metrics: bool = False) -> str:
        """Return all values as text."""
        lines: list[str] = []
        for name, metric in CATALOGUE.items():
            if name in self._values:
                lines += _family(metric, self._values[name], open_metrics=open_metrics)
        if open_metrics:
            lines.append("# EOF")
        return "\n".join(lines) + "\n"


def _family(metric: Metric, values: dict[tuple[str, ...], Value], *, open_metrics: bool) -> Iterator[str]:
    name = metric.name
    family = name.removesuffix("_total") if open_metrics and metric.kind == COUNTER else name
    yield f"# HELP {family} {_escaped(metric.help, quotes=open_metrics)}"
    yield f"# TYPE {family} {metric.kind}"
    for labels, value in sorted(values.items()):
        pairs = [f'{key}="{_escaped(text)}"' for key, text in zip(metric.labels, labels, strict=True)]
        if isinstance(value, Distribution):
            yield from _histogram(name, pairs, value)
        else:
            yield f"{name}{_braced(pairs)} {_number(value)}"


def _histogram(name: str, pairs: list[str], value: Distribution) -> Iterator[str]:
    total, bucket = 0, f"{name}_bucket{{{''.join(f'{pair},' for pair in pairs)}le="
    for bound, total in zip(_BOUNDS, accumulate(value.counts), strict=True):
        yield f'{bucket}"{bound}"}} {total}'
    yield f"{name}_sum{_braced(pairs)} {_number(value.sum_s)}"
    yield f"{name}_count{_braced(pairs)} {total}"


def _braced(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _number(value: float) -> str:
    return "+Inf" if value == math.inf else repr(value)


_BOUNDS = tuple(map(_number, (*BOUNDS_S, math.inf)))


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
