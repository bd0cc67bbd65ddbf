"""Starting workers from Python where it could go wrong."""

import os
import subprocess
import sys

import pytest

APP = """
from taskmesh import TaskMesh
from taskmesh.worker import launch

launch.START_TIMEOUT_S = 180.0
mesh = TaskMesh("launched", embedded="private")

@mesh.task
def add(x, y):
    return x + y

def main():
    with mesh.workers(1):
        print(add.delay(1, 2).get(timeout=90))
"""


def run(tmp_path, text, *command):
    (tmp_path / "own_app.py").write_text(text)
    environ = os.environ | {"TASKMESH_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_workers_started_by_the_import_of_the_app_are_refused(tmp_path):
    """Every worker imports the app: one that starts workers would never stop doing so."""
    ended = run(tmp_path, APP + "\nmain()\n", "own_app.py")
    assert ended.returncode != 0
    assert 'if __name__ == "__main__":' in ended.stderr


@pytest.mark.slow
def test_a_file_named_like_a_standard_module_stands_in_for_nothing(tmp_path):
    (tmp_path / "ast.py").write_text("raise RuntimeError('not the standard one')")
    code = "import sys; sys.path.append('.'); import own_app; own_app.main()"
    ended = run(tmp_path, APP, "-P", "-c", code)
    assert (ended.returncode, ended.stdout) == (0, "3\n"), ended.stderr


UNIMPORTABLE = """
import os
import sys

from taskmesh import TaskMesh
from taskmesh.errors import TaskMeshError
from taskmesh.worker import launch

launch.START_TIMEOUT_S = 180.0


def main():
    mesh = TaskMesh(
        "launched",
        embedded="private",
        default_queue="zz",
        routes={"*.routed": "aside"},
        max_crashes=1,
        allow_tasks=["*"],
        compress_over="1KiB",
        result_expires="1h",
    )

    @mesh.task
    def add(x, y):
        return x + y

    @mesh.task
    def die():
        os._exit(3)

    with mesh.workers(1, log_level="CRITICAL"):
        print(add.delay(1, 2).get(timeout=90))
        try:
            die.delay().get(timeout=90)
        except TaskMeshError as error:
            print(error)
"""


@pytest.mark.slow
def test_settings_given_in_code_reach_workers_that_cannot_import_the_mesh(tmp_path):
    """They serve its default queue, and hold to its bounds."""
    ended = run(tmp_path, UNIMPORTABLE, "-c", "import own_app; own_app.main()")
    assert ended.stdout.startswith("3\n"), ended.stderr
    assert "1 time" in ended.stdout, ended.stdout
