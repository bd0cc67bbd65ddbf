"""What `opentelemetry-instrument` turns on: every mesh of the process, with no word of it in the app."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from opentelemetry.sdk.trace import TracerProvider

from taskmesh import TaskMesh
from taskmesh.contrib.opentelemetry import trace_tasks
from taskmesh.contrib.opentelemetry.instrumentor import TaskMeshInstrumentor


@pytest.fixture(autouse=True)
def nothing_stays_instrumented(provider):
    yield
    TaskMeshInstrumentor().uninstrument()


def names(exporter):
    found = [span.name for span in exporter.get_finished_spans()]
    exporter.clear()
    return sorted(found)


def test_it_is_found_by_its_entry_point():
    (found,) = entry_points(group="opentelemetry_instrumentor", name="taskmesh")
    assert found.load() is TaskMeshInstrumentor


def test_every_mesh_is_traced_also_one_that_is_made_later_until_that_is_taken_back(provider, exporter):
    meshes = [TaskMesh("before", eager=True)]
    TaskMeshInstrumentor().instrument(tracer_provider=provider)
    meshes.append(TaskMesh("later", eager=True))
    tasks = [mesh.task(name=f"add-{mesh.name}")(lambda: 1) for mesh in meshes]
    for task in tasks:
        task.delay()
    assert names(exporter) == ["run add-before", "run add-later", "send add-before", "send add-later"]
    TaskMeshInstrumentor().uninstrument()
    meshes.append(TaskMesh("last", eager=True))
    for task in (*tasks, meshes[-1].task(name="add-last")(lambda: 1)):
        task.delay()
    assert names(exporter) == []


def test_once_more_is_no_more_and_after_the_end_it_begins_again(provider, exporter):
    mesh = TaskMesh("again", eager=True)
    add = mesh.task(name="add")(lambda: 1)
    for _ in range(2):
        TaskMeshInstrumentor().instrument(tracer_provider=provider)
        TaskMeshInstrumentor()._instrument(tracer_provider=provider)  # whatever its base class looks after
        add.delay()
        assert names(exporter) == ["run add", "send add"]
        TaskMeshInstrumentor().uninstrument()
        add.delay()
        assert names(exporter) == []


@pytest.mark.parametrize("who_is_first", ["app", "instrumentor"])
def test_what_an_app_says_counts_before_it_and_outlasts_it(provider, exporter, who_is_first):
    other = TracerProvider()
    mesh = TaskMesh("own", eager=True)
    add = mesh.task(name="add")(lambda: 1)
    acts = {
        "app": lambda: trace_tasks(mesh, provider),
        "instrumentor": lambda: TaskMeshInstrumentor().instrument(tracer_provider=other),
    }
    acts.pop(who_is_first)()
    for act in acts.values():
        act()
    add.delay()
    assert names(exporter) == ["run add", "send add"]
    TaskMeshInstrumentor().uninstrument()
    add.delay()
    assert names(exporter) == ["run add", "send add"]
    other.shutdown()


def test_a_run_that_has_a_span_keeps_it_to_its_end(provider, exporter):
    mesh = TaskMesh("within", eager=True)
    TaskMeshInstrumentor().instrument(tracer_provider=provider)
    mesh.task(name="ends-it")(lambda: TaskMeshInstrumentor().uninstrument()).delay()
    assert names(exporter) == ["run ends-it", "send ends-it"]
