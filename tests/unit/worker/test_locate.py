"""From an app to the words that lead to it."""

from __future__ import annotations

import importlib
import sys
import uuid
from types import ModuleType

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import AppNotFound
from taskmesh.worker.launch import options_for
from taskmesh.worker.locate import load_app, path_of


def test_a_worker_is_advised_that_knows_the_tasks(monkeypatch):
    mesh = TaskMesh("advice")
    portal = mesh.portal
    assert portal.worker_command("q") == "taskmesh worker --mesh advice -Q q"

    @mesh.task
    def local() -> None:
        """Travels by value, since nobody can import it."""

    assert portal.worker_command("q") == "taskmesh worker --mesh advice -Q q"
    mesh.task(test_a_worker_is_advised_that_knows_the_tasks)
    assert "--mesh" not in portal.worker_command("q")
    assert portal.worker_command("q").startswith("taskmesh worker FILE.py:ATTRIBUTE -Q q ")
    module = ModuleType("some_app")
    module.app = mesh
    monkeypatch.setitem(sys.modules, "some_app", module)
    assert portal.worker_command("q") == f"taskmesh worker some_app:app -I {__name__} -Q q"


MESH = "from taskmesh import TaskMesh\n{name} = TaskMesh('{name}')\n"


@pytest.fixture
def package(monkeypatch, tmp_path):
    """Make a package that nobody has imported, of files and their content, and return its name."""

    def make(**files: str) -> str:
        name = f"package_{uuid.uuid4().hex}"
        (tmp_path / name).mkdir()
        for file, content in {"__init__": "", **files}.items():
            (tmp_path / name / f"{file}.py").write_text(content)
        return name

    monkeypatch.syspath_prepend(tmp_path)
    yield make
    for name in [name for name in sys.modules if name.startswith("package_")]:
        del sys.modules[name]


def test_an_app_written_with_a_dot_is_told_the_colon(package):
    name = package(bank=MESH.format(name="mesh"))
    with pytest.raises(AppNotFound, match=f"did you mean {name}.bank:mesh[?]"):
        load_app(f"{name}.bank.mesh", TaskMesh)
    with pytest.raises(AppNotFound, match=f"there is no module '{name}.bank.other'"):
        load_app(f"{name}.bank.other", TaskMesh)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"__init__": MESH.format(name="own"), "app": MESH.format(name="other")}, "own"),
        ({"app": MESH.format(name="in_app"), "tasks": MESH.format(name="in_tasks")}, "in_app"),
        ({"app": "", "tasks": MESH.format(name="in_tasks")}, "in_tasks"),
    ],
)
def test_of_a_package_the_app_is_found_where_apps_usually_stand(package, files, found):
    assert load_app(package(**files), TaskMesh).name == found


def test_it_is_said_where_no_app_was_found(package):
    name = package(app="", more=MESH.format(name="mesh"))
    with pytest.raises(AppNotFound, match=rf"there is no TaskMesh in {name}, {name}\.app$"):
        load_app(name, TaskMesh)


def test_of_several_apps_one_must_be_named(package):
    name = package(app=MESH.format(name="one") + MESH.format(name="two"))
    with pytest.raises(AppNotFound, match=rf"say which one, .* has: {name}\.app:one, {name}\.app:two$"):
        load_app(name, TaskMesh)


def module_of(monkeypatch, name, **attributes):
    module = ModuleType(name)
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.fixture
def orders(monkeypatch):
    """A module that makes a mesh."""
    module = module_of(monkeypatch, "orders", TaskMesh=TaskMesh)
    exec('mesh = TaskMesh("orders")', vars(module))
    return module


@pytest.fixture
def script(monkeypatch, orders):
    """The main script, which only uses it: `from orders import mesh`."""
    script = ModuleType("__main__")
    script.__file__ = "/home/ann/script2.py"
    script.mesh = orders.mesh
    others = {name: module for name, module in sys.modules.items() if name != "__main__"}
    monkeypatch.setattr(sys, "modules", {"__main__": script, **others})
    return script


def test_a_worker_is_advised_to_import_what_made_the_mesh_not_the_script_that_uses_it(script, orders):
    assert orders.mesh.made_in == "orders"
    assert path_of(orders.mesh) == "orders:mesh"


def test_no_module_is_taken_that_only_stands_before_the_maker(monkeypatch, script, orders):
    user = ModuleType("a_user")
    user.borrowed = orders.mesh
    monkeypatch.setattr(sys, "modules", {"a_user": user, **sys.modules})
    assert path_of(orders.mesh) == "orders:mesh"


def test_a_class_derived_from_task_mesh_is_made_where_it_is_called(monkeypatch):
    library = module_of(monkeypatch, "library", TaskMesh=TaskMesh)
    source = (
        "class Mine(TaskMesh):\n    def __init__(self, name):\n        super().__init__(name, eager=True)\n"
    )
    exec(source, vars(library))
    app = module_of(monkeypatch, "app_of_mine", Mine=library.Mine)
    exec('mesh = Mine("mine")', vars(app))
    assert app.mesh.made_in == "app_of_mine"


def test_a_mesh_that_a_factory_made_is_found_beside_its_tasks(monkeypatch, script):
    factory = module_of(monkeypatch, "factory", TaskMesh=TaskMesh)
    exec('def make():\n    return TaskMesh("made")', vars(factory))
    module_of(monkeypatch, "a_reader", mesh=(mesh := factory.make()))
    tasks = module_of(monkeypatch, "shop_tasks", mesh=mesh)
    exec("@mesh.task\ndef work(): pass", vars(tasks))
    script.mesh = mesh
    assert path_of(mesh) == "shop_tasks:mesh"


def test_the_script_is_named_where_tasks_stand_that_no_worker_would_know_otherwise(script, orders):
    exec("@mesh.task\ndef work(): pass", vars(script))
    assert path_of(orders.mesh) == "script2:mesh"


def test_the_script_is_named_where_nothing_else_holds_the_mesh(script):
    script.own = TaskMesh("own")
    assert path_of(script.own) == "script2:own"


def test_workers_of_a_program_import_every_module_in_which_tasks_stand(monkeypatch, tmp_path, orders):
    (tmp_path / "tasks_of_orders.py").write_text("from orders import mesh\n@mesh.task\ndef work(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tasks_of_orders", raising=False)
    importlib.import_module("tasks_of_orders")
    options = options_for(orders.mesh, 1, (), "")
    assert (options.app, options.include) == ("orders:mesh", ("tasks_of_orders",))
    monkeypatch.delitem(sys.modules, "tasks_of_orders")


def test_a_worker_is_advised_to_import_the_modules_in_which_tasks_stand(monkeypatch, tmp_path):
    """The module that makes a mesh need not import those that give it tasks."""
    for name in ("tasks_of_bank", "tasks_of_mail"):
        (tmp_path / f"{name}.py").write_text("from makes_it import mesh\n@mesh.task\ndef work(): pass\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    maker = module_of(monkeypatch, "makes_it", TaskMesh=TaskMesh)
    exec('mesh = TaskMesh("made", include=["tasks_of_mail"])', vars(maker))
    for name in ("tasks_of_bank", "tasks_of_mail"):
        importlib.import_module(name)
    command = maker.mesh.portal.worker_command("q")
    assert command == "taskmesh worker makes_it:mesh -I tasks_of_bank -Q q"
    for name in ("tasks_of_bank", "tasks_of_mail"):
        monkeypatch.delitem(sys.modules, name)
