"""What is served is what parsers of Prometheus and of OpenMetrics read; theirs, not ours, says so."""

from __future__ import annotations

import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from taskmesh.metrics.buckets import BOUNDS_S, BUCKETS
from taskmesh.metrics.catalogue import CATALOGUE, COUNTER, HISTOGRAM, Metric
from taskmesh.metrics.exposition import Distribution, Samples

NASTY = 'a "quoted"\\back\nslash, {brace} é'


def of_everything() -> Samples:
    """Return a value of every metric, with labels that need escaping."""
    found = Samples()
    for metric in CATALOGUE.values():
        labels = [NASTY] * len(metric.labels)
        value = Distribution([1] * BUCKETS, 2.5) if metric.kind == HISTOGRAM else 7
        found.put(metric.name, value, *labels)
    return found


def base(metric: Metric) -> str:
    return metric.name.removesuffix("_total") if metric.kind == COUNTER else metric.name


@pytest.mark.parametrize("open_metrics", [False, True])
def test_every_metric_is_read_as_it_was_given(open_metrics: bool) -> None:
    read = read_open_metrics if open_metrics else read_text
    families = {family.name: family for family in read(of_everything().text(open_metrics=open_metrics))}
    assert set(families) == {base(metric) for metric in CATALOGUE.values()}
    for metric in CATALOGUE.values():
        family = families[base(metric)]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        for sample in family.samples:
            assert {key: text for key, text in sample.labels.items() if key != "le"} == dict.fromkeys(
                metric.labels, NASTY
            )


def test_promtool_finds_nothing_to_mend(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=of_everything().text(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_buckets_of_a_histogram_are_cumulated_up_to_all() -> None:
    found = Samples()
    found.put("taskmesh_task_run_seconds", Distribution([2, 0, 3] + [0] * (BUCKETS - 4) + [1], 60.5), "t")
    (family,) = read_text(found.text())
    values = {(sample.name[26:], sample.labels.get("le")): sample.value for sample in family.samples}
    assert values["bucket", "0.001"] == values["bucket", "0.005"] == 2
    assert values["bucket", "0.01"] == values["bucket", "1800.0"] == 5
    assert values["bucket", "+Inf"] == values["count", None] == 6
    assert values["sum", None] == 60.5
    assert len(family.samples) == len(BOUNDS_S) + 3


def test_values_are_added_up_and_the_greatest_is_kept() -> None:
    found = Samples()
    for ready in (3, 4):
        found.add("taskmesh_queue_ready", ready, "other")
        found.greatest("taskmesh_queue_oldest_age_seconds", 10.0 - ready, "other")
    assert 'taskmesh_queue_ready{queue="other"} 7' in found.text()
    assert 'taskmesh_queue_oldest_age_seconds{queue="other"} 7.0' in found.text()


def test_labels_are_those_of_the_catalogue() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Samples().put("taskmesh_queue_ready", 1)
    with pytest.raises(KeyError):
        Samples().put("taskmesh_unheard_of", 1)


def test_names_say_unit_and_kind() -> None:
    for metric in CATALOGUE.values():
        assert (metric.kind == COUNTER) == metric.name.endswith("_total"), metric.name
        assert metric.help.endswith("."), metric.name
