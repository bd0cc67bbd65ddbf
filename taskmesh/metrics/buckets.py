"""Into which parts times are sorted: the same for all histograms, so that they can be added up and compared."""

from __future__ import annotations

#: Upper bounds in seconds; one bucket more takes what is longer.
BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
BUCKETS = len(BOUNDS_S) + 1
