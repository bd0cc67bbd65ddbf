"""Pain 12: the decorated task loses its signature.

celery/celery#6186; sbdchd/celery-types#75. What is wrong is refused in tests/typing; here is what a user sees.
"""

from __future__ import annotations

import subprocess
import sys

APP = """
from taskmesh import TaskMesh

mesh = TaskMesh("typed")

@mesh.task(queue="mail")
def add(x: int, y: int = 0) -> int:
    return x + y

@mesh.task
async def fetch(page: int) -> str:
    return str(page)

reveal_type(add.delay(1, 2))
reveal_type(fetch.delay(1).get())
add.delay("1")
add.delay(1, 2, 3)
"""


def test_the_checker_knows_arguments_and_results(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(APP)
    said = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-error-summary",
            "--cache-dir",
            str(tmp_path / "c"),
            path,
        ],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert 'Revealed type is "taskmesh.client.result.AsyncResult[int]"' in said.replace("builtins.", "")
    assert 'Revealed type is "str"' in said.replace("builtins.", "")
    assert said.count("error:") == 2
    assert 'incompatible type "str"; expected "int"' in said
    assert "Too many arguments" in said
