"""Commands in a folder that has been deleted: those that need none work, the others say so."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from taskmesh.cli.doctor.command import EXIT_NOTHING
from taskmesh.cli.main import cli


@pytest.fixture(autouse=True)
def _gone(tmp_path, monkeypatch):
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()


@pytest.mark.parametrize(
    ("words", "code"), [(["config"], 0), (["config", "--mesh", "gone"], 0), (["doctor"], EXIT_NOTHING)]
)
def test_what_imports_no_app_needs_no_folder(words, code):
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == code, done.output


@pytest.mark.parametrize(
    "words",
    [
        ["worker", "app:mesh"],
        ["worker", "--mesh", "shop"],
        ["up", "app:mesh"],
        ["status", "-A", "app:mesh"],
        ["-A", "app:mesh", "call", "x"],
    ],
)
def test_what_imports_code_says_that_its_folder_is_gone(words):
    refused = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert refused.exit_code == 2
    assert "the current folder, from which code is imported, has been deleted" in refused.output
