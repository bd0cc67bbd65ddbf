"""Every row of the benchmarks runs, with sizes that say nothing about speed; and its figures can be shown."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.needs_server

#: Enough to run through every line of a measurement.
OPTIONS = {"settle_s": 0.0, "idle_s": 0.0, "few": 40, "times_few": 1, "candidates": 2}
#: How often what takes long is done, by the name of the measurement.
FEW = {
    "import": 1,
    "worker-start": 1,
    "killed-child": 1,
    "agreed-change": 20,
    "lock": 10,
    "lock-handover": 20,
    "leader-failover": 1,
    "leader-handover": 1,
    "schedules": 50,
}


def fresh(name: str) -> ModuleType:
    """Import a module of the benchmarks as a measuring process does: it reads its surroundings then."""
    return importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Give the benchmarks a server, and the surroundings that their runner would."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "stamps").touch()
    known = {name for name in sys.modules if name.startswith("benchmarks.")}
    with pytest.MonkeyPatch.context() as patch:
        for name in known:
            patch.delitem(sys.modules, name)
        patch.setenv("BENCH_STAMPS", str(folder / "stamps"))
        patch.setenv("TASKMESH_KEY", "00" * 32)
        patch.setenv("TASKMESH_LEASE_TTL", "6")
        with fresh("servers").Server() as server:
            patch.setenv("BENCH_URL", server.url)
            yield SimpleNamespace(url=server.url, folder=folder)
            fresh("app").mesh.close()
    for name in [name for name in sys.modules if name.startswith("benchmarks.")]:
        del sys.modules[name]


def measurements() -> list[object]:
    from benchmarks.rows.budget import BUDGET

    for_a_lease_to_end = ("dead-machine", "leader-failover")
    waiting = [item.name for item in BUDGET if item.name.startswith(for_a_lease_to_end)]
    return [pytest.param(item.name, marks=[pytest.mark.slow] * (item.name in waiting)) for item in BUDGET]


@pytest.mark.parametrize("name", measurements())
def test_a_row_can_be_measured(bench, name, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_FOLDER", str(tmp_path))
    item = next(item for item in fresh("rows.budget").BUDGET if item.name == name)
    fresh("harness.stamps").clear()
    options = item.options | {key: value for key, value in OPTIONS.items() if key in item.options}
    run = fresh("rows.model").Run(
        n=FEW.get(name, 100),
        workers=2,
        url=bench.url if item.durability else "",
        log=tmp_path / "log",
        options=options,
    )

    measured = item.measure(run)

    if measured.skipped:
        pytest.skip(measured.skipped)
    assert set(measured.values) == set(item.rows)
    # what so few need may be less than what the process gave back meanwhile
    assert all(value > 0 for what, value in measured.values.items() if what != "memory")
    assert not measured.detail.get("wrong")


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_durable_server_writes_what_it_is_told(bench, durability):
    resp = fresh("harness.resp")
    with fresh("servers").Server(durability=durability) as server:
        assert resp.info(server.url, "persistence")["aof_enabled"] == "1"


def test_the_server_of_the_peers_is_on_the_loopback_and_keeps_nothing(bench):
    resp = fresh("harness.resp")
    with fresh("servers").Server(tcp=True) as server:
        assert server.url.startswith("redis://127.0.0.1:")
        assert resp.info(server.url, "persistence")["aof_enabled"] == "0"


def test_what_it_costs_to_be_seen_is_measured(bench):
    observing = fresh("observing")
    with observing.mesh:
        assert observing.drained_s(observing.MODES["metrics"], 5) > 0
    assert observing.counted_ns(200) > 0


def test_what_a_scrape_costs_is_measured(bench):
    scraping = fresh("scraping")
    with scraping.mesh:
        found = scraping.measure(apart=1, together=3, runs=1, children=1)
    assert found["page_bytes"] > 100_000
    assert set(found["apart"]) == set(found["together"]) > {"supervisor_ms", "node_ms", "node_commands"}


# -- what becomes of the figures ---------------------------------------------------------------------------------


def budget_document() -> dict[str, object]:
    from benchmarks import report
    from benchmarks.rows.budget import BUDGET

    taken = [
        {"values": {"rate": rate}, "detail": {}, "foreign": 0.0, "server": "Valkey 9"}
        for rate in (40_000.0, 60_000.0, 70_000.0)
    ]
    lines = report.lines(BUDGET[0], taken, 1000) + report.lines(BUDGET[1], [{"error": "it fell over"}], 1000)
    about = {
        "cores": 2,
        "cpu": "a CPU",
        "memory_gib": 8,
        "system": "Linux",
        "kernel": "6",
        "python": "CPython 3.11",
    }
    return {
        "started": "2026-01-02T03:04",
        "machine": about,
        "workers": 2,
        "durability_on": "ext4",
        "rows": lines,
    }


def peers_document() -> dict[str, object]:
    from benchmarks.peers import report

    taken = [
        {
            "variant": name,
            "measure": "drain",
            "n": 9,
            "rate": rate,
            "foreign": 0.0,
            "wrong": 0,
            "capped": name == "RQ",
        }
        for name, rate in (
            ("Celery", 1000.0),
            ("TaskMesh", 50_000.0),
            ("TaskMesh, async", 40_000.0),
            ("RQ", 100.0),
            ("TaskMesh", 52_000.0),
        )
    ]
    taken.append({"variant": "arq", "measure": "drain", "n": 9, "error": "arq cannot be installed here"})
    variants = {
        name: {"note": f"{name} <as is>", "versions": {"x": "1"}}
        for name in ("Celery", "TaskMesh", "TaskMesh, async", "RQ", "arq")
    }
    return budget_document() | {"server": "Valkey 9", "variants": variants, "rows": report.summarised(taken)}


def test_a_line_has_the_median_its_ratio_to_the_budget_and_the_spread():
    line, failed = budget_document()["rows"]
    assert (line["value"], line["ratio"], line["met"]) == (60_000, 1.2, True)
    assert (line["spread"], line["repetitions"]) == ([40_000, 70_000], 3)
    assert failed["error"] == "it fell over"
    assert "value" not in failed


def test_what_could_not_be_measured_says_why_and_what_was_cut_short_is_marked():
    from benchmarks.peers import report

    remarks = report.remarks(peers_document())
    assert any("arq" in remark and "cannot be installed here" in remark for remark in remarks)
    assert any("RQ" in remark and "time limit" in remark for remark in remarks)


def test_the_budget_compares_with_celery_and_with_the_fastest_peer():
    from benchmarks.peers import report

    assert [ratio for _, ratio, _ in report.comparisons(peers_document())] == [51.0, 51.0]


def test_the_files_of_a_comparison_can_be_read_again(tmp_path):
    from benchmarks import chart
    from benchmarks.harness import keeping

    document = peers_document()
    (tmp_path / "peers.json").write_text(keeping.as_json(document))
    (tmp_path / "budget.json").write_text(json.dumps(budget_document()))
    assert json.loads((tmp_path / "peers.json").read_text()) == document

    assert chart.main(["--results", str(tmp_path)]) == 0

    table = (tmp_path / "table.md").read_text()
    assert "| **TaskMesh** |" in table
    assert "≥ 50,000 tasks/s" in table
    drawing = ET.fromstring((tmp_path / "peers.svg").read_text())
    assert len(drawing.findall(".//{http://www.w3.org/2000/svg}rect")) == 4


def test_quiet_repetitions_count_before_disturbed_ones():
    from benchmarks.harness.keeping import soundest

    quiet, loud, failed = {"foreign": 0.1}, {"foreign": 1.5}, {"foreign": 0.0, "error": "no"}
    assert soundest([loud, quiet, failed]) == [quiet]
    assert soundest([loud, failed]) == [loud]


def test_a_second_run_keeps_what_the_first_found_in_quieter_moments():
    from benchmarks.harness.keeping import merged

    first = [
        {"row": "a", "others_cores": 0.0},
        {"row": "b", "others_cores": 1.0},
        {"row": "c", "error": "no"},
    ]
    second = [
        {"row": "c", "others_cores": 2.0},
        {"row": "b", "others_cores": 0.5},
        {"row": "a", "others_cores": 0.1},
    ]
    assert merged(first, second, key=lambda row: row["row"]) == [first[0], second[1], second[0]]


def test_each_peer_has_an_adapter_and_pinned_versions():
    from benchmarks.peers.catalogue import VARIANTS
    from benchmarks.peers.environments import OWN, REQUIREMENTS

    for variant in VARIANTS:
        assert Path("benchmarks", "peers", "adapters", f"{variant.peer}_.py").is_file()
        if variant.peer != OWN:
            pins = (REQUIREMENTS / f"{variant.peer}.txt").read_text().split()
            assert pins
            assert all("==" in pin for pin in pins)
