"""What is imported: nothing that does I/O in the pure rooms, nothing heavy by `import taskmesh`."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.tidy.tree import PACKAGE, ROOT, python_files, shown

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PURE = (
    "consensus",
    "balancing",
    "codec",
    "coordination",
    "core",
    "failover",
    "queue",
    "replication",
    "results",
)
PURE_ROOMS = [PACKAGE / room for room in (*PURE, "ring", "workflow") if (PACKAGE / room).is_dir()]
#: The pure part of a room whose other part is not.
PURE_MODULES = [
    PACKAGE / "scheduler" / f"{module}.py"
    for module in (
        "agenda", "cron_error", "cron_line", "crontab", "every", "misfire", "once", "overlap", "times", "timetable",
        "when", "zones",
    )
]  # fmt: skip
PURE_FILES = [path for room in PURE_ROOMS for path in python_files(room)] + PURE_MODULES
IMPURE = {
    "asyncio", "concurrent", "kombu", "multiprocessing", "random", "redis", "select", "selectors", "socket",
    "ssl", "subprocess", "threading", "time",
}  # fmt: skip
HEAVY = {"asyncio", "click", "cloudpickle", "concurrent", "kombu", "multiprocessing", "redis", "rich", "ssl"}


# What a pure room may not call, and the one place where it must.
UNKNOWABLE = {"datetime.now", "datetime.utcnow", "date.today", "open", "os.urandom", "uuid.uuid4"}
EXEMPT = {"taskmesh/codec/keyring.py": {"os.urandom"}}  # a secret must not come from a seed


def imported(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, also inside functions and for types only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_the_list_of_pure_rooms_is_the_one_that_import_linter_checks():
    """It also follows imports of imports; this file also sees what a broken environment hides."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    checked = next(contract for contract in contracts if contract["type"] == "forbidden")
    assert sorted(checked["source_modules"]) == sorted(
        [f"taskmesh.{room.name}" for room in PURE_ROOMS]
        + [f"taskmesh.scheduler.{module.stem}" for module in PURE_MODULES]
    )


@pytest.mark.parametrize("path", PURE_FILES, ids=shown)
def test_a_pure_room_does_no_input_or_output(path):
    assert imported(path) & IMPURE == set()


@pytest.mark.parametrize("path", PURE_FILES, ids=shown)
def test_a_pure_room_reads_no_clock_and_draws_no_chance(path):
    calls = {
        ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    }
    assert calls & UNKNOWABLE == EXEMPT.get(shown(path), set())


def test_few_files_know_kombu():
    assert {shown(path) for path in python_files() if "kombu" in imported(path)} == {
        f"taskmesh/broker/kombu_{part}.py" for part in ("amqp", "line", "polled")
    }


def modules_after(code: str) -> set[str]:
    """Return the modules which a fresh interpreter has loaded after `code`, and had not before."""
    script = f"import sys; before = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    # -I: neither the folder nor the variables of this run may add to it; -S would lose the package itself.
    run = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_importing_taskmesh_loads_itself_alone():
    """The names are resolved on first use: a program that only imports pays nothing."""
    loaded = modules_after("import taskmesh")
    own = {name for name in loaded if name.startswith("taskmesh")}
    assert own == {"taskmesh", "taskmesh.core", "taskmesh.core.version"}
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert strangers(loaded) == set()


def test_the_app_class_loads_only_what_its_callers_need():
    """Each file costs a caller a millisecond or so at start: what few need is imported where they need it."""
    loaded = modules_after("from taskmesh import TaskMesh")
    standard = {"difflib", "json", "random", "socket", "tomllib", "urllib"}
    assert {name.partition(".")[0] for name in loaded} & (HEAVY | standard) == set()
    of_few = {
        "client.async_send", "client.attempts", "client.eager", "client.eager_run", "client.executor", "client.inspect",
        "client.portal", "codec.attempts", "core.exception_info", "core.observed", "core.rate", "core.request",
        "core.retrier", "core.script", "limits", "nodes.address", "nodes.link", "queue", "replication", "results",
        "worker",
    }  # fmt: skip
    assert {f"taskmesh.{name}" for name in of_few} & loaded == set()


def test_importing_the_settings_loads_nothing_that_only_some_settings_need():
    loaded = modules_after("import taskmesh.config")
    assert loaded & {"tomllib", "difflib", "pathlib", "urllib", "taskmesh.config.elsewhere"} == set()
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert strangers(loaded) == set()


def test_the_commands_print_their_help_without_a_connection():
    loaded = modules_after("import taskmesh.cli.main")
    assert {name.partition(".")[0] for name in loaded} & {"asyncio", "kombu", "redis", "rich"} == set()


def strangers(loaded: set[str]) -> set[str]:
    """Return the top-level modules that are neither Python's nor ours."""
    tops = {name.partition(".")[0] for name in loaded}
    return tops - set(sys.stdlib_module_names) - {"taskmesh"}
