"""From what people type to what can be imported, and from where."""

from __future__ import annotations

import pytest

from taskmesh.cli.app_path import located
from taskmesh.errors import AppNotFound


def test_a_module_is_imported_from_the_current_folder(tmp_path):
    assert located("shop.app:mesh", tmp_path) == ("shop.app:mesh", (str(tmp_path),))


def test_a_file_is_imported_from_its_own_folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").touch()
    assert located("src/app.py:mesh", tmp_path) == ("app:mesh", (str(tmp_path / "src"), str(tmp_path)))
    assert located("src/app:mesh", tmp_path) == ("app:mesh", (str(tmp_path / "src"), str(tmp_path)))


def test_an_app_is_relative_to_where_it_was_named(tmp_path):
    named_in, cwd = tmp_path, tmp_path / "below"
    (named_in / "src").mkdir()
    (named_in / "src" / "app.py").touch()
    assert located("app:mesh", cwd, named_in) == ("app:mesh", (str(named_in), str(cwd)))
    assert located("src/app.py", cwd, named_in) == ("app", (str(named_in / "src"), str(named_in), str(cwd)))


def test_a_file_here_needs_no_attribute(tmp_path):
    (tmp_path / "app.py").touch()
    assert located("app.py", tmp_path) == ("app", (str(tmp_path),))


def test_a_file_of_a_package_keeps_its_package(tmp_path):
    inner = tmp_path / "src" / "shop" / "tasks"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").touch()
    (inner / "mail.py").touch()
    assert located("src/shop/tasks/mail.py:mesh", tmp_path) == (
        "shop.tasks.mail:mesh",
        (str(tmp_path / "src"), str(tmp_path)),
    )
    assert located("src/shop/__init__.py", tmp_path)[0] == "shop"


@pytest.mark.parametrize(
    ("app", "said"), [("no.py:mesh", "there is no file"), ("src/no", "there is no file")]
)
def test_a_file_that_is_not_there(tmp_path, app, said):
    with pytest.raises(AppNotFound, match=said):
        located(app, tmp_path)


def test_a_file_that_no_import_can_name(tmp_path):
    (tmp_path / "my-app.py").touch()
    with pytest.raises(AppNotFound, match=r"my-app.*rename"):
        located("my-app.py", tmp_path)
