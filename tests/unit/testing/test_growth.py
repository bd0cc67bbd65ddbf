"""What a long run takes for growth."""

from __future__ import annotations

from tests.faults.growth import Sample


def test_keys_are_judged_when_they_are_asked_for_and_the_rest_always():
    before = Sample({"node MiB": 10.0, "keys": 1000.0, "files": 50.0})
    assert Sample({"node MiB": 12.0, "keys": 9000.0, "files": 51.0}).grown(before) == []
    assert Sample({"node MiB": 80.0, "keys": 1000.0, "files": 50.0}).grown(before) == [
        "node MiB grew from 10 to 80"
    ]
    more = Sample({"node MiB": 10.0, "keys": 3000.0, "files": 50.0})
    assert more.grown(before, what="keys") == ["keys grew from 1000 to 3000"]
    assert more.grown(before, load=3.0, what="keys") == []
