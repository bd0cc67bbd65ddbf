"""The model of large meshes: the same for the same seed, what the docs show, and true where it can be told by hand."""

from __future__ import annotations

import dataclasses
import json

import pytest

from benchmarks.capacity import __main__ as capacity
from benchmarks.capacity import costs as known
from benchmarks.capacity import page
from benchmarks.capacity.costs import read
from benchmarks.capacity.model import SOME, Placed, Size, place, reckon
from benchmarks.harness import pages
from taskmesh.queue.workers import WATCHED

#: Sizes that take no more than a moment.
SMALL = capacity.SIZES[:4]
PLACED = Placed(copies_most=308, leads_most=103, joined=279, lost=308)


@pytest.fixture(scope="module")
def small():
    return capacity.reckon_all(SMALL)


def test_the_docs_show_what_is_reckoned(small):
    for name, made in (
        ("bottlenecks", page.bottlenecks(small)),
        ("sizes", page.sizes(small)),
        ("fail-over", page.fail_overs(small)),
    ):
        shown = pages.block(page.PAGE, name).splitlines()
        assert shown[: len(SMALL) + 2] == made.splitlines(), f"{name}: run python -m benchmarks.capacity"
        assert len(shown) == len(capacity.SIZES) + 2


def test_the_same_seed_gives_the_same(small):
    assert capacity.document(capacity.reckon_all(SMALL[:1])) == capacity.document(small[:1])
    other = capacity.reckon_all(SMALL[:1], seed=2)
    assert capacity.document(other) != capacity.document(small[:1])


def test_the_chart_has_a_bar_for_each_size(small):
    assert page.chart(small).count(" workers</text>") == len(SMALL)


def test_beats_grow_with_the_workers_and_not_with_their_square():
    costs = dataclasses.replace(read(), beat_us=0.0)
    one, ten = (reckon(Size(10, workers), costs, PLACED, 1) for workers in (100, 1000))
    assert ten.beats_cpu == pytest.approx(10 * one.beats_cpu)
    assert one.beats_cpu == pytest.approx(100 / known.BEAT_S * WATCHED * costs.beat_per_worker_us / 1e6)


def test_of_many_workers_few_stand_by():
    costs = dataclasses.replace(read(), stand_by_us=0.0, stand_back_us=0.0)
    few, many = (reckon(Size(10, workers), costs, PLACED, 1) for workers in (known.STANDING, 10_000))
    assert (
        few.candidates_cpu
        == few.candidates_cpu_all
        == pytest.approx(known.STANDING * 4 * costs.look_us / 1e6)
    )
    back = 10_000 - known.STANDING
    assert many.candidates_cpu == pytest.approx(few.candidates_cpu + back / 10 * costs.look_us / 1e6)
    assert many.candidates_cpu_all == pytest.approx(10_000 * 4 * costs.look_us / 1e6)


def test_what_stands_by_is_told_every_node():
    costs = dataclasses.replace(read(), stand_back_us=0.0, look_us=0.0)
    for nodes in (10, 50):
        found = reckon(Size(nodes, 1000), costs, PLACED, 1)
        assert found.candidates_cpu == pytest.approx(known.STANDING / 2 * costs.stand_by_us / 1e6)


def test_beats_reach_every_node_wherever_workers_claim():
    costs = read()
    some, few = (reckon(Size(50, 1000, SOME, at_few), costs, PLACED, 1) for at_few in (False, True))
    assert some.beats_per_s == 1000 / known.BEAT_S
    assert few.beats_per_s == some.workers_most / known.BEAT_S


def test_few_nodes_for_each_worker_take_connections_off_each_node():
    costs = read()
    every = reckon(Size(50, 1000), costs, PLACED, 1)
    some = reckon(Size(50, 1000, SOME), costs, PLACED, 1)
    each = known.CONNECTIONS_OF_CHILDREN + known.CONNECTIONS_OF_SUPERVISOR
    assert every.connections == 1000 * each
    assert (
        some.connections
        == some.workers_most * known.CONNECTIONS_OF_CHILDREN + 1000 * known.CONNECTIONS_OF_SUPERVISOR
    )
    mean = 1000 * known.NODES_PER_WORKER / 50
    assert mean <= some.workers_most < 1.5 * mean


def test_a_part_beyond_its_end_is_the_bottleneck():
    costs = dataclasses.replace(read(), firings_per_s=0.1)
    found = reckon(Size(10, 100), costs, PLACED, 1)
    assert found.bottleneck == "the leader's firings"
    assert found.uses[found.bottleneck] == pytest.approx(100 * 0.1 / 60 / 0.1)


def test_a_loss_is_noticed_after_its_silence_and_two_looks():
    over = reckon(Size(10, 100), read(), PLACED, 1).fail_over
    assert known.SILENT_S < over.detect_p50_s < over.detect_p99_s < known.SILENT_S + 2 * known.LOOK_S
    assert over.worst_s == pytest.approx(over.detect_p99_s + over.work_s)


def test_what_moves_is_what_the_ring_says():
    placed = place(Size(10, 1))
    assert (placed.leads_most, placed.joined, placed.lost) == (103, 279, 308)


def test_figures_can_be_read_by_a_program(capsys, monkeypatch, small):
    monkeypatch.setattr(capacity, "reckon_all", lambda seed: small)
    assert capacity.main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == len(SMALL) * len(capacity.WAYS)
    assert found[0]["size"] == {"nodes": 10, "workers": 100, "to": "all", "beats_at_few": False}


@pytest.mark.needs_server
def test_single_costs_can_be_measured():
    from benchmarks.costs import measure, tables
    from benchmarks.servers import Server

    def measured() -> dict[str, float]:
        with Server() as server:
            return measure(server.url, beats=20, many=200, messages=200, turns=50)

    costs = measured()
    assert all(value >= 0 for name, value in costs.items() if name.endswith("worker_bytes"))
    # a line for each worker: an id of 16 characters, a counter, a state
    assert 30 < costs["beat_per_worker_bytes"] < 60
    assert costs["message_bytes"] > 100
    # one command; two, of which one reads what all say; a script, of two rounds
    # (what else the server does meanwhile is counted as well: on a busy machine it may be more in the shorter time)
    for again in range(5):
        found = measured() if again else costs
        if 0 < found["stand_by_us"] < found["stand_back_us"]:
            break
    else:
        pytest.fail(f"it costs as much to ask as to say that one stands by: {found}")
    assert costs["look_us"] > 0
    assert tables([(64, 4)])[0]["nodes"] == 4
