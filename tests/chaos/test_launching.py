"""Starting workers from Python where it could go wrong."""

import os
import subprocess
import sys

import pytest

UNCALLED = UNGUARDED.replace("with mesh", "def main():\n  with mesh").replace("    print", "      print")


def run(tmp_path, text, *command):
    (tmp_path / "own_app.py").write_text(text)
    environ = os.environ | {"TASKMESH_STATE_DIR": str(tmp_path / "state"), "HOME": str(tmp_path)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_workers_started_by_the_import_of_the_app_are_refused(tmp_path):
    """Every worker imports the app: one that starts workers would never stop doing so."""
    ended = run(tmp_path, UNGUARDED, "own_app.py")
    assert ended.returncode != 0
    assert 'if __name__ == "__main__":' in ended.stderr


@pytest.mark.slow
def test_a_file_named_like_a_standard_module_stands_in_for_nothing(tmp_path):
    (tmp_path / "ast.py").write_text("raise RuntimeError('not the standard one')")
    ended = run(
        tmp_path, CALLED, "-P", "-c", "import sys; sys.path.append('.'); import own_app; own_app.main()"
    )
    assert (ended.returncode, ended.stdout) == (0, "3\n"), ended.stderr
