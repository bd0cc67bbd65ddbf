"""Which files the demo takes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from taskmesh.cli.demo.files import python_files, standard_library, warm


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x = 1\n")


def found(root: Path) -> list[str]:
    unreadable: list[OSError] = []
    files = python_files(root, unreadable.append)
    assert not unreadable
    return [path.relative_to(root).as_posix() for path in files]


def test_all_python_files_in_a_fixed_order(tmp_path: Path) -> None:
    make(tmp_path, "b.py", "a.py", "sub/z.py", "sub/deep/y.py", "a.txt", "a.pyc", "another/x.py")
    assert found(tmp_path) == ["a.py", "b.py", "another/x.py", "sub/z.py", "sub/deep/y.py"]


def test_installed_packages_are_left_out_unless_they_are_what_was_asked_for(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "site-packages/b.py", "lib/dist-packages/c.py", "__pycache__/d.py")
    assert found(tmp_path) == ["a.py"]
    assert found(tmp_path / "site-packages") == ["b.py"]


def test_links_pipes_and_folders_named_like_files(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "folder.py/b.py")
    (tmp_path / "link.py").symlink_to("a.py")
    (tmp_path / "broken.py").symlink_to("nowhere.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.py")
    assert found(tmp_path) == ["a.py", "link.py", "folder.py/b.py"]


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    told: list[OSError] = []
    assert python_files(tmp_path / "missing", told.append) == []
    assert [type(error) for error in told] == [FileNotFoundError]


@pytest.mark.skipif(sys.platform == "darwin", reason="this system refuses such names")
def test_names_that_are_not_text_are_found(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.py")).touch()
    assert found(tmp_path) == ["\udcff.py"]


def test_warming_reads_everything_and_passes_over_what_is_gone(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "b.py")
    assert warm([tmp_path / "a.py", tmp_path / "gone.py", tmp_path / "b.py"]) == 12


def test_the_standard_library_is_the_running_ones() -> None:
    assert Path(os.__file__).parent == standard_library()
