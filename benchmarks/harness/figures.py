"""Median and spread."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return a percentile of values that are in order."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def rounded(value: float, digits: int = 4) -> float:
    """Return a value with so many significant digits, so that files stay small."""
    return float(f"{value:.{digits}g}")


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, smallest and largest."""
    return {"median": rounded(median(values)), "min": rounded(min(values)), "max": rounded(max(values))}


def shown(value: float) -> str:
    """Return a figure for people: thousands apart, three digits where it is small."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
