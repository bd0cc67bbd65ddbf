"""The fixtures that TaskMesh brings for pytest, as its users see them: in a run of pytest of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.slow, pytest.mark.needs_server]

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest on a test file in an empty home, with no plugins but the user's own."""
    for name in list(os.environ):
        if name.startswith(("TASKMESH_", "PYTEST_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(pytester.path))
    monkeypatch.setenv("XDG_STATE_HOME", str(pytester.path / "state"))

    def go(text: str, *arguments: str, **files: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=text, **files)
        # this project's own tools are not the user's
        return pytester.runpytest_subprocess(
            "-p",
            "no:randomly",
            "-p",
            "no:asyncio",
            "-p",
            "no:hypothesispytest",
            "-p",
            "no:anyio",
            "-p",
            "no:xdist",
            "-p",
            "no:xdist.looponfail",
            "-W",
            "error",
            *arguments,
            timeout=300,
        )

    return go


def test_tasks_of_every_kind_run(run: Run) -> None:
    """At the top of a module, inside the test, async, by value, in queues of their own, failing."""
    result = run(
        """
        import pytest

        class Oops(Exception):
            pass

        def double(x):
            return 2 * x

        async def later(x):
            return x + 1

        def test_all(mesh, mesh_worker):
            @mesh.task
            def add(x, y):
                return x + y

            @mesh.task(queue="mail")
            def fail():
                raise Oops("as it should")

            assert add.delay(1, 2).get(timeout=90) == 3
            assert mesh.task(double).delay(4).get(timeout=90) == 8
            assert mesh.task(later).delay(4).get(timeout=90) == 5
            assert mesh.submit(lambda x: -x, 4).get(timeout=90) == -4
            assert add.starmap([(i, i) for i in range(50)]).get(timeout=90) == [2 * i for i in range(50)]
            assert add.apply_async((1, 2), queue="new").get(timeout=90) == 3
            with pytest.raises(Oops, match="as it should"):
                fail.delay().get(timeout=90)
        """
    )
    result.assert_outcomes(passed=1)


def test_what_a_test_patches_is_patched_in_the_task(run: Run) -> None:
    """The task runs in this process, and functions at the top of a module are run as they are."""
    result = run(
        """
        import os

        CALLS = []

        def note(word):
            CALLS.append(word)
            return os.getpid()

        def price():
            return 1

        def total():
            return price() * 2

        def test_it(mesh, mesh_worker, monkeypatch):
            monkeypatch.setattr("test_it.price", lambda: 21)
            assert mesh.task(total).delay().get(timeout=90) == 42
            assert mesh.task(note).delay("seen").get(timeout=90) == os.getpid()
            assert CALLS == ["seen"]
        """
    )
    result.assert_outcomes(passed=1)


def test_nothing_of_one_test_reaches_another(run: Run) -> None:
    """The node is shared for speed; names, tasks, messages and results are not."""
    result = run(
        """
        import pytest
        from taskmesh.errors import TaskNotFound

        seen = {}

        def work():
            return 1

        def test_leaves_things_behind(mesh):
            seen["name"], seen["url"] = mesh.name, mesh.settings.nodes
            seen["id"] = mesh.task(work).delay().id

        def test_finds_none_of_them(mesh, mesh_worker):
            assert mesh.name != seen["name"]
            assert mesh.settings.nodes == seen["url"]
            assert not mesh.tasks
            with pytest.raises(TaskNotFound):
                mesh.result(seen["id"]).get(timeout=90)
            assert mesh.submit(lambda: 2).get(timeout=90) == 2
        """
    )
    result.assert_outcomes(passed=2)


def test_a_worker_can_be_stopped_and_started(run: Run) -> None:
    """What waits goes on waiting; what was begun is finished; two at a time where that is wanted."""
    result = run(
        """
        def test_it(mesh, mesh_worker):
            @mesh.task
            def add(x, y):
                return x + y

            assert mesh_worker.is_running
            assert add.delay(1, 1).get(timeout=90) == 2
            mesh_worker.stop()
            mesh_worker.stop()
            waiting = add.delay(2, 2)
            assert waiting.state == "PENDING"
            assert not mesh_worker.is_running
            mesh_worker.start(concurrency=2)
            assert waiting.get(timeout=90) == 4

        held = {}

        def inner(x):
            return x + 1

        def outer(x):
            return held["inner"].delay(x).get(timeout=90) * 10

        def test_a_task_that_waits_for_another(mesh, mesh_worker):
            mesh_worker.stop()
            mesh_worker.start(concurrency=2)
            held["inner"] = mesh.task(inner)
            assert mesh.task(outer).delay(1).get(timeout=90) == 20
        """
    )
    result.assert_outcomes(passed=2)


def test_two_tasks_meet_when_two_may_run_at_once(run: Run) -> None:
    result = run(
        """
        import threading

        barrier = threading.Barrier(2)

        def meet():
            return barrier.wait(60) >= 0

        def test_it(mesh, mesh_worker):
            mesh_worker.stop()
            mesh_worker.start(concurrency=2)
            task = mesh.task(meet)
            assert task.starmap([(), ()]).get(timeout=90) == [True, True]
        """
    )
    result.assert_outcomes(passed=1)


def test_one_task_at_a_time_is_the_rule(run: Run) -> None:
    """As in a child process: code that is not made for threads behaves as it does there."""
    result = run(
        """
        import threading, time

        lock = threading.Lock()

        def alone(_):
            if not lock.acquire(blocking=False):
                return False
            try:
                time.sleep(0.001)
                return True
            finally:
                lock.release()

        def test_it(mesh, mesh_worker):
            assert all(mesh.task(alone).map(range(50)).get(timeout=90))
        """
    )
    result.assert_outcomes(passed=1)


def test_settings_and_the_mesh_itself_can_be_overridden(run: Run) -> None:
    result = run(
        """
        import pytest
        import own_app

        class TestEager:
            @pytest.fixture
            def mesh_settings(self):
                return {"eager": True}

            def test_it(self, mesh):
                assert mesh.eager
                assert mesh.submit(lambda: 3).get() == 3

            def test_there_is_nothing_for_a_worker_to_do(self, mesh_settings, mesh, request):
                from taskmesh.errors import UsageError
                with pytest.raises(UsageError, match="eager"):
                    request.getfixturevalue("mesh_worker")

        class TestSettings:
            @pytest.fixture
            def mesh_settings(self):
                return {"name": "shop", "default_queue": "own"}

            def test_it(self, mesh, mesh_worker):
                assert (mesh.name, mesh.settings.default_queue) == ("shop", "own")
                assert mesh.submit(lambda: 3).get(timeout=90) == 3

        class TestApp:
            @pytest.fixture
            def mesh(self):
                with own_app.mesh:
                    yield own_app.mesh

            def test_it(self, mesh, mesh_worker):
                assert own_app.add.delay(1, 2).get(timeout=90) == 3
        """,
        own_app="""
        from taskmesh import TaskMesh

        mesh = TaskMesh("own", embedded="private")

        @mesh.task
        def add(x, y):
            return x + y
        """,
    )
    result.assert_outcomes(passed=4)


APP = """
import os

from taskmesh import TaskMesh

mesh = TaskMesh("own"{arguments})


@mesh.task
def inner():
    return os.getpid()


@mesh.task
def outer():
    return inner.delay().id
"""

OVERRIDE = """
    import os

    import pytest

    import own_app
    from own_app import inner, outer


    @pytest.fixture
    def mesh():
        return own_app.mesh
"""


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ("", {}),
        (', embedded="shared", durability="disk"', {}),
        ("", {"toml": 'nodes = ["redis://127.0.0.1:1"]'}),
    ],
)
def test_the_mesh_of_an_app_lives_on_a_node_of_the_tests_own(
    run: Run, pytester: pytest.Pytester, arguments: str, files: dict[str, str]
) -> None:
    """Tests must meet neither the messages nor the workers of the one who runs them, however the app is set up."""
    if "toml" in files:
        pytester.path.joinpath("taskmesh.toml").write_text(files["toml"])
    result = run(
        OVERRIDE
        + """
    def test_it(mesh, mesh_worker):
        assert "private node" in repr(mesh)
        assert inner.delay().get(timeout=90) == os.getpid()
        assert mesh.result(outer.delay().get(timeout=90)).get(timeout=90) == os.getpid()

    def test_nothing_is_left_for_the_next(mesh):
        waiting = inner.delay()
        assert waiting.state == "PENDING"
        mesh.seen = waiting.id

    def test_nor_for_the_one_after(mesh):
        from taskmesh.errors import TaskNotFound
        with pytest.raises(TaskNotFound):
            mesh.result(mesh.seen).get(timeout=90)

    def test_processes_of_its_own(mesh):
        with mesh.workers(1):
            assert inner.delay().get(timeout=90) != os.getpid()

    def test_afterwards():
        assert "TASKMESH_EMBEDDED" not in os.environ
        assert "private" not in repr(own_app.mesh)
    """,
        own_app=APP.format(arguments=arguments),
    )
    result.assert_outcomes(passed=5)
    assert not list(pytester.path.glob("state/**/*.rdb"))


@pytest.mark.parametrize("said", ["argument", "TASKMESH_NODES", "TASKMESH_EMBEDDED"])
def test_the_mesh_of_an_app_stays_where_somebody_put_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """A test suite with a server of its own, in code or by a variable, has decided."""
    url = "redis://127.0.0.1:1"
    if said != "argument":
        monkeypatch.setenv(said, "shared" if said == "TASKMESH_EMBEDDED" else url)
    result = run(
        OVERRIDE
        + """
    def test_it(mesh):
        assert repr(mesh) == WHERE
    """.replace(
            "WHERE",
            repr("<TaskMesh 'own' on shared node>" if "EMB" in said else f"<TaskMesh 'own' on {url}>"),
        ),
        own_app=APP.format(arguments=f', nodes=["{url}"]' if said == "argument" else ""),
    )
    result.assert_outcomes(passed=1)


def test_a_fixture_of_another_kind_may_be_named_mesh(run: Run) -> None:
    """The word is used in geometry as well."""
    result = run(
        """
        import sys
        import pytest

        @pytest.fixture
        def mesh():
            return [(0, 1), (1, 2)]

        def test_it(mesh):
            assert mesh == [(0, 1), (1, 2)]
            assert "taskmesh.app" not in sys.modules
        """
    )
    result.assert_outcomes(passed=1)


def test_a_task_that_does_not_end_fails_its_test_by_name(run: Run) -> None:
    result = run(
        """
        import threading
        import pytest

        begun, forever = threading.Event(), threading.Event()

        def hang():
            begun.set()
            forever.wait()

        def test_it(mesh):
            from taskmesh.errors import WorkerError
            from taskmesh.testing.thread_worker import ThreadWorker
            worker = ThreadWorker(mesh).start()
            mesh.task(hang).delay()
            assert begun.wait(60)
            with pytest.raises(WorkerError, match="1 of the tasks that test-worker-.* did not end within 0.1 s"):
                worker.stop(timeout_s=0.1)
            forever.set()
        """
    )
    result.assert_outcomes(passed=1)


def test_no_process_file_or_thread_is_left(run: Run, pytester: pytest.Pytester) -> None:
    """Neither the account's key file nor a node: a run of tests needs a temporary folder and nothing else."""
    result = run(
        """
        import os, threading

        def test_it(mesh, mesh_worker):
            from taskmesh.nodes.embedded_resp import Connection
            assert mesh.submit(lambda: 1).get(timeout=90) == 1
            print("SOCKET", mesh.settings.nodes[0])

        def test_after():
            assert [t.name for t in threading.enumerate() if "worker" in t.name] == []
        """,
        "-s",
    )
    result.assert_outcomes(passed=2)
    (line,) = [line for line in result.outlines if "SOCKET" in line]
    assert not Path(line.split("unix://")[1].strip(". ")).exists()
    made = {path.name for path in pytester.path.iterdir()} - {"stdout", "stderr"}
    assert {name for name in made if not name.startswith("runpytest-")} <= {
        "test_it.py",
        ".pytest_cache",
        "__pycache__",
    }


def test_a_run_without_them_does_not_load_taskmesh(run: Run) -> None:
    """Everybody who has TaskMesh installed pays for its plugin."""
    result = run(
        """
        import sys

        def test_it():
            heavy = {"redis", "kombu", "cloudpickle", "msgspec", "psutil", "rich", "taskmesh.app"}
            assert not heavy & sys.modules.keys()
            assert "taskmesh.testing.pytest_plugin" in sys.modules
        """
    )
    result.assert_outcomes(passed=1)


def test_help_lists_the_fixtures(run: Run) -> None:
    result = run("", "--fixtures")
    result.stdout.fnmatch_lines_random(["mesh_settings *", "mesh *", "mesh_worker *"])
