"""What tasks log can be read in the worker's output, and the app's own logging is left alone."""

from __future__ import annotations

import json
import re

import pytest

from tests.faults.scene import Scene

APP = "tests.apps.worker_life:mesh"


def ran(scene: Scene, life: str = "", **options) -> tuple[str, str]:
    """Have a worker run `say`, and return what was said meanwhile, and the message's id."""
    env = {"TASKMESH_TEST_LIFE": life, **options.pop("env", {})}
    worker = scene.worker(1, app=APP, env=env, **options)
    handle = scene.mesh.task(name="life.say")(print).delay("hello")
    assert handle.get(90) == "hello"
    worker.says("printed hello")
    said = worker.said()
    # it goes on to write: the last line may not be whole
    return said[: said.rindex("\n") + 1], handle.id


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_what_a_task_logs_is_told_with_its_id_and_name(scene: Scene, start_method: str) -> None:
    said, task_id = ran(scene, log_level="INFO", start_method=start_method)
    line = rf"^\d{{4}}-\d\d-\d\d [\d:,]+ INFO \d+ tests\.apps\.worker_life \[life\.say {task_id}\]: an info hello$"
    assert re.search(line, said, re.MULTILINE), said
    assert "a debug" not in said


def test_the_level_is_the_one_that_was_asked_for(scene: Scene) -> None:
    said, _ = ran(scene, log_level="WARNING")
    assert ": a warning hello" in said
    assert "an info" not in said


def test_logging_that_the_app_set_up_is_left_alone(scene: Scene) -> None:
    said, _ = ran(scene, "log-own", log_level="DEBUG")
    assert "\nMINE INFO an info hello\n" in said
    assert said.count("an info hello") == 1
    assert "a debug" not in said


def test_a_line_logged_by_the_import_is_no_set_up(scene: Scene) -> None:
    """`logging.warning()` gives the root logger a handler by itself; the tasks' lines must not get lost by that."""
    said, task_id = ran(scene, "log-implicitly", log_level="INFO")
    assert f"[life.say {task_id}]: an info hello" in said


def test_a_setting_forbids_any_set_up(scene: Scene) -> None:
    said, _ = ran(scene, log_level="INFO", env={"TASKMESH_CONFIGURE_LOGGING": "false"})
    assert "an info" not in said
    assert "\na warning hello\n" in said  # Python's last resort


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_log_in_json_is_json_in_every_line_and_knows_the_task(scene: Scene, start_method: str) -> None:
    said, task_id = ran(scene, log_level="DEBUG", log_format="json", start_method=start_method)
    documents = [json.loads(line) for line in said.splitlines() if line != "printed hello"]
    assert {document["logger"] for document in documents} >= {"taskmesh.worker", "taskmesh.task"}
    (info,) = (document for document in documents if document["message"] == "an info hello")
    task = {
        "task_id": task_id,
        "task_name": "life.say",
        "attempt": 1,
        "queue": "default",
        "worker": "worker1",
    }
    assert info.items() >= {"level": "INFO", "logger": "tests.apps.worker_life", **task}.items()
    assert "hello" not in str([document for document in documents if document["logger"] == "taskmesh.task"])


def test_the_format_is_a_setting_as_well_and_arguments_are_told_on_demand(scene: Scene) -> None:
    env = {"TASKMESH_LOG_FORMAT": "json", "TASKMESH_LOG_ARGUMENTS": "true"}
    said, task_id = ran(scene, log_level="DEBUG", env=env)
    documents = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    (starts,) = (one for one in documents if "starts" in one["message"] and one.get("task_id") == task_id)
    assert starts["arguments"] == "'hello'"
