"""Which files count as an app's sources, and that a change of them is seen."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

from taskmesh.worker.sources import Sources, files_of_failure, imported_files


def test_only_the_users_own_modules_are_sources():
    own = imported_files()
    assert __file__ in own
    assert os.__file__ not in own
    assert pytest.__file__ not in own
    assert not [file for file in own if "/taskmesh/worker/" in file and "/tests/" not in file]


@pytest.fixture
def folder(tmp_path):
    for name in ("a.py", "b.py", "notes.txt"):
        (tmp_path / name).write_text("1")
    return tmp_path


def test_a_change_of_a_file_is_seen_once(folder):
    sources = Sources(())
    sources.watch([str(folder / "a.py")])
    assert sources.changed() == ""
    (folder / "a.py").write_text("12")
    assert sources.changed() == str(folder / "a.py")
    assert sources.changed() == ""
    (folder / "b.py").write_text("12")
    assert sources.changed() == ""


def test_files_that_go_and_come_have_changed(folder):
    sources = Sources(())
    sources.watch([str(folder / "a.py"), str(folder / "new.py")])
    (folder / "a.py").unlink()
    assert sources.changed() == str(folder / "a.py")
    (folder / "new.py").touch()
    assert sources.changed() == str(folder / "new.py")


def test_what_changes_while_the_app_is_imported_again_is_seen_afterwards(folder):
    sources = Sources(())
    file = str(folder / "a.py")
    sources.watch([file])
    (folder / "a.py").write_text("12")
    sources.watch([file, str(folder / "b.py")])
    assert sources.changed() == file


def test_folders_are_watched_with_what_is_new_in_them_and_without_what_is_not_theirs(folder):
    for name in (".git", "__pycache__", "site-packages", "venv", "sub"):
        (folder / name).mkdir()
    (folder / "venv" / "pyvenv.cfg").touch()
    sources = Sources([str(folder)])
    sources.watch([])
    for name in (".git", "__pycache__", "site-packages", "venv"):
        (folder / name / "x.py").touch()
    (folder / "more.txt").touch()
    assert sources.changed() == ""
    (folder / "sub" / "x.py").touch()
    assert sources.changed() == str(folder / "sub" / "x.py")


@pytest.mark.parametrize("text", ["1 / 0", "def", "import broken_inner"])
def test_the_file_that_is_to_be_mended_is_among_those_of_a_failure(tmp_path, monkeypatch, text):
    """Also where it never became a module: by a wrong syntax, or by a module that it imports."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_outer.py").write_text(text)
    (tmp_path / "broken_inner.py").write_text("1 / 0")
    with pytest.raises((ZeroDivisionError, SyntaxError)) as raised:
        importlib.import_module("broken_outer")
    assert str(tmp_path / "broken_outer.py") in files_of_failure(raised.value)
    inner = str(tmp_path / "broken_inner.py") in files_of_failure(raised.value)
    assert inner == ("inner" in text)
    assert "broken_outer" not in sys.modules
