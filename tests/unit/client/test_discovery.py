"""Modules of tasks that the app names."""

from __future__ import annotations

import sys

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import ConfigError, UsageError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return what writes a module of a package `found_shop` that can be imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str = "") -> None:
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("found_shop.__init__")
    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == "found_shop"]:
        del sys.modules[name]


def test_included_modules_are_imported_when_they_are_needed(package):
    package("found_shop.jobs")
    mesh = TaskMesh("discovery", include=["found_shop.jobs"])
    assert "found_shop.jobs" not in sys.modules
    mesh.import_tasks()
    assert "found_shop.jobs" in sys.modules


def test_a_package_without_such_a_module_is_passed_over(package):
    package("found_shop.mail.__init__")
    package("found_shop.tasks")
    mesh = TaskMesh("discovery")
    mesh.autodiscover_tasks(["found_shop", "found_shop.mail"])
    mesh.import_tasks()
    assert "found_shop.tasks" in sys.modules
    assert "found_shop.mail" in sys.modules


def test_packages_may_come_from_a_function_and_modules_have_any_name(package):
    package("found_shop.jobs")
    package("found_shop.alone")
    mesh = TaskMesh("discovery")
    mesh.autodiscover_tasks(lambda: ["found_shop"], related_name="jobs")
    mesh.autodiscover_tasks(["found_shop.alone"], related_name=None)
    mesh.import_tasks()
    assert {"found_shop.jobs", "found_shop.alone"} <= set(sys.modules)


@pytest.mark.parametrize(
    ("include", "packages", "says"),
    [
        (
            ["found_shop.jbos"],
            [],
            r"include names the module 'found_shop\.jbos'.*no module 'found_shop\.jbos'",
        ),
        (["found_shpo.jobs"], [], r"no module 'found_shpo'"),
        ([], ["found_shpo"], r"autodiscover_tasks names the module 'found_shpo'"),
    ],
)
def test_what_does_not_exist_is_named(package, include, packages, says):
    mesh = TaskMesh("discovery", include=include)
    mesh.autodiscover_tasks(packages)
    with pytest.raises(ConfigError, match=says):
        mesh.import_tasks()


@pytest.mark.parametrize("text", ["import no_such_module", "1 / 0"])
def test_a_module_whose_import_fails_is_named(package, text):
    """A missing module inside it is no missing module of tasks."""
    package("found_shop.tasks", text)
    mesh = TaskMesh("discovery")
    mesh.autodiscover_tasks(["found_shop"])
    with pytest.raises((ModuleNotFoundError, ZeroDivisionError)) as raised:
        mesh.import_tasks()
    assert raised.value.__notes__ == ["while importing 'found_shop.tasks', which autodiscover_tasks names"]


@pytest.mark.parametrize("packages", ["shop", 5, [5], None])
def test_what_is_no_list_of_names_is_refused(packages):
    with pytest.raises(UsageError, match="expected a list of names"):
        TaskMesh("discovery").autodiscover_tasks(packages)


def test_a_setting_that_names_no_module_is_refused():
    with pytest.raises(ConfigError, match=r"'shop/tasks.py' is none"):
        TaskMesh("discovery", include=["shop/tasks.py"])


@pytest.mark.parametrize("module", ["", ".", ".tasks", "shop-tasks", None, 3])
def test_what_is_no_name_of_a_module_is_refused(module):
    mesh = TaskMesh("discovery")
    with pytest.raises(UsageError, match=r"^import_tasks: .* is no name of a module"):
        mesh.import_tasks(module)
    mesh.autodiscover_tasks(lambda: [module])
    with pytest.raises(UsageError, match=r"^autodiscover_tasks: .* is no name of a module"):
        mesh.import_tasks()
