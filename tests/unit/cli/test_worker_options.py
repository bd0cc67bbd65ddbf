"""The worker that a command line, a file and the surroundings mean."""

from __future__ import annotations

import os
import re
import socket
import threading
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from taskmesh.cli.failure import Failure
from taskmesh.cli.main import cli
from taskmesh.cli.seconds import Seconds
from taskmesh.cli.worker_file import KEYS, read_scheduler_file, read_worker_file
from taskmesh.cli.worker_options import resolved, worker_options
from taskmesh.errors import ConfigError, UsageError
from taskmesh.worker.pools import Pool

ROOT = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "worker.toml"
        path.write_text(text)
        return path

    return write


def given_by(*words: str) -> dict[str, Any]:
    """Return what the words of a command line give a worker, by name."""
    found: list[dict[str, Any]] = []

    @click.command()
    @worker_options
    @click.option("--json", "json_wanted", is_flag=True)
    def command(*, given, json_wanted):
        found.append(given)

    command.main([*words], standalone_mode=False)
    return found[0]


def test_the_command_line_alone(tmp_path):
    options = resolved(
        {
            "app": "app:mesh",
            "concurrency": 3,
            "queues": "mail, default,mail",
            "log_level": "debug",
            "grace": 0.0,
        },
        {"TASKMESH_START_METHOD": "spawn"},
        tmp_path,
    )
    assert (options.app, options.path, options.queues) == ("app:mesh", (str(tmp_path),), ("mail", "default"))
    assert (options.concurrency, options.log_level, options.grace_s) == (3, "DEBUG", 0.0)
    assert options.start_method == "spawn"
    assert not options.burst


def test_a_worker_stands_for_leader_unless_told_not_to(tmp_path, file):
    assert resolved({"app": "app"}, {}, tmp_path).scheduler
    assert not resolved({"app": "app", "no_scheduler": True}, {}, tmp_path).scheduler


def test_queues_with_weights(tmp_path, file):
    options = resolved({"app": "app", "queues": "mail=3, default,slow=2"}, {}, tmp_path)
    assert options.queues == ("mail", "default", "slow")
    assert options.weights == {"mail": 3, "slow": 2}
    assert options.strategy == "weighted"
    path = file('[worker]\nqueues = ["a=2", "b"]\nstrategy = "weighted"\n')
    options = resolved({"app": "app", "config": str(path)}, {}, tmp_path)
    assert (options.queues, options.weights, options.strategy) == (("a", "b"), {"a": 2}, "weighted")


def test_lists_may_be_given_in_several_parts(tmp_path):
    options = given_by("app", "-Q", "a=2", "-Q", "b,c", "-I", "one.tasks", "-I", "two,three")
    chosen = resolved(options, {}, tmp_path)
    assert (chosen.queues, chosen.weights) == (("a", "b", "c"), {"a": 2})
    assert chosen.include == ("one.tasks", "two", "three")


def test_a_strategy(tmp_path):
    assert resolved({"app": "app", "strategy": "priority"}, {}, tmp_path).strategy == "priority"
    assert resolved({"app": "app", "queues": "a,b"}, {}, tmp_path).strategy == ""  # the setting's


@pytest.mark.parametrize(("given", "seconds"), [("90", 90), ("1m", 60), ("1h30m", 5400), ("0.5s", 0.5)])
def test_a_length_of_time_is_written_as_everywhere_else(tmp_path, file, given, seconds):
    path = file(f'[worker]\nsoft_time_limit = "{given}"\ngrace = 3\n')
    options = resolved({"app": "app", "config": str(path)}, {}, tmp_path)
    assert (options.soft_time_limit_s, options.grace_s) == (seconds, 3.0)
    assert Seconds().convert(given, None, None) == seconds


@pytest.mark.parametrize("given", ["nan", "inf", "-1", "1x", "", "1e99", "2e9"])
def test_what_is_no_length_of_time_is_refused_with_what_is_expected(given):
    with pytest.raises(click.BadParameter, match=f"'{given}': expected .*seconds"):
        Seconds().convert(given, None, None)


@pytest.mark.parametrize("queues", ["", " ", ",", " , "])
def test_no_queue_at_all_is_not_the_default_queue(tmp_path, queues):
    """It is an empty variable of a script, more likely than a wish."""
    with pytest.raises(UsageError, match="names no queue"):
        resolved({"app": "app", "queues": queues}, {}, tmp_path)


@pytest.mark.parametrize("queues", ["mail=", "mail=0", "mail=x", "mail=1001", "=3", "mail=3=2", "a b=3"])
def test_weights_that_cannot_be(tmp_path, queues):
    with pytest.raises(UsageError, match=f"queue '{queues}'"):
        resolved({"app": "app", "queues": queues}, {}, tmp_path)


def test_nothing_given_means_the_settings_of_the_app(tmp_path):
    options = resolved({"app": "app"}, {}, tmp_path)
    assert (options.concurrency, options.queues, options.name, options.grace_s) == (0, (), "", -1.0)


def test_the_app_of_the_surroundings(tmp_path):
    assert resolved({}, {"TASKMESH_APP": "env:mesh"}, tmp_path).app == "env:mesh"
    (tmp_path / "taskmesh.toml").write_text('app = "toml:mesh"\n')
    assert resolved({}, {}, tmp_path).app == "toml:mesh"
    assert resolved({"app": "given"}, {"TASKMESH_APP": "env:mesh"}, tmp_path).app == "given"
    assert resolved({"mesh": "shop"}, {"TASKMESH_APP": "env:mesh"}, tmp_path).app == ""


def test_the_app_of_a_file_above_is_imported_from_there(tmp_path):
    (tmp_path / "taskmesh.toml").write_text('app = "toml:mesh"\n')
    below = tmp_path / "below"
    below.mkdir()
    assert resolved({}, {}, below).path == (str(tmp_path), str(below))
    assert resolved({"path": ("/given",)}, {}, below).path == ("/given", str(tmp_path), str(below))
    assert resolved({"app": "other"}, {}, below).path == (str(below),)
    (tmp_path / "taskmesh.toml").write_text('app = "app.py:mesh"\n')
    (tmp_path / "app.py").touch()
    assert resolved({}, {}, below).app == "app:mesh"


def test_a_file_of_options(tmp_path, file):
    path = file(
        '[worker]\napp = "filed:mesh"\nqueues = ["a", "b"]\nlog-level = "WARNING"\nburst = true\npath = ["src"]\n'
    )
    options = resolved({"config": str(path), "queues": "c"}, {}, tmp_path)
    assert (options.app, options.queues, options.log_level, options.burst) == (
        "filed:mesh",
        ("c",),
        "WARNING",
        True,
    )
    assert options.path == (str(tmp_path / "src"), str(tmp_path))


@pytest.mark.parametrize(
    ("given", "environ", "app", "mesh"),
    [
        ({}, {}, "", "filed"),
        ({"app": "given"}, {}, "given", ""),
        ({"mesh": "given"}, {}, "", "given"),
        ({}, {"TASKMESH_APP": "env"}, "env", ""),
    ],
)
def test_what_counts_over_the_file(tmp_path, file, given, environ, app, mesh):
    path = file('[worker]\nmesh = "filed"\n')
    options = resolved({"config": str(path), **given}, environ, tmp_path)
    assert (options.app, options.mesh) == (app, mesh)


def test_a_file_that_was_named_counts_over_one_that_lies_around(tmp_path, file):
    (tmp_path / "taskmesh.toml").write_text('app = "around"\n')
    path = file('[worker]\nmesh = "filed"\n')
    assert resolved({"config": str(path)}, {}, tmp_path).mesh == "filed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[worker]\nconcurency = 2\n", "did you mean concurrency"),
        ("[worker]\nzzz = 2\n", "it knows app"),
        ("[worker]\nconcurrency = true\n", "whole number"),
        ("[worker]\nqueues = 3\n", "list of texts"),
        ("[worker]\ngrace = -1\n", "seconds"),
        ('[worker]\nburst = "yes"\n', "true or false"),
        ('[worker]\nlog_format = "xml"\n', "worker.toml: log_format = 'xml' .*expected one of text, json"),
        ('[worker]\nlog_level = "loud"\n', "worker.toml: log_level = 'loud' .*expected one of DEBUG, "),
        ("[workers]\n", "unknown"),
        ("", "no \\[worker\\]"),
        ("[worker", "not TOML"),
        ("[worker]\nqueues = " + "[" * 20_000, "not TOML"),
        ('[worker]\napp = "a"\nmesh = "b"\n', "contradict"),
        ('[worker]\nloglevel = "INFO"\nlog-level = "DEBUG"\n', "given twice, as log_level"),
    ],
)
def test_a_wrong_file_is_refused_by_name(file, text, said):
    with pytest.raises(ConfigError, match=said):
        read_worker_file(file(text))


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_worker_file(tmp_path)


def test_a_file_knows_the_other_names_of_options(file):
    """--help shows them, and says that a file takes options."""
    found = read_worker_file(file('[worker]\nloglevel = "INFO"\nhostname = "mailer"\n'))
    assert found == {"log_level": "INFO", "name": "mailer"}


@pytest.mark.parametrize(("pool", "instead"), [("solo", "-c 1"), ("gevent", "--pool async")])
def test_other_pools_are_refused_with_what_to_use(tmp_path, pool, instead):
    with pytest.raises(UsageError, match=instead):
        resolved({"app": "app", "pool": (pool,)}, {}, tmp_path)


def test_pools_of_the_command_line_and_of_a_file(tmp_path, file):
    given = resolved({"app": "app", "pool": ("prefork:4", "async:500=io,mail")}, {}, tmp_path)
    assert given.pools == (Pool("process", 4), Pool("async", 500, ("io", "mail")))
    told = resolved({"config": file('[worker]\napp = "app"\npool = ["thread", "async"]')}, {}, tmp_path)
    assert told.pools == (Pool("thread"), Pool("async"))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, Failure),
        ({"app": "a", "mesh": "b"}, click.UsageError),
        ({"app": "a", "queues": "x y"}, UsageError),
        ({"mesh": "no/name"}, ConfigError),
        ({"app": "a", "strategy": "longest"}, ConfigError),
        ({"app": "a", "strategy": "random", "queues": "a=2"}, ConfigError),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, given, kind):
    with pytest.raises(kind):
        resolved(given, {}, tmp_path)


def test_the_files_in_the_repository_are_right():
    files = {path.name: path for path in (ROOT / "workers").glob("*.toml")}
    scheduler = read_scheduler_file(files.pop("scheduler.toml"))
    assert scheduler == {"mesh": "main", "log_level": "INFO"}
    assert set(files) == {"general.toml", "cpu.toml", "io.toml"}
    for path in files.values():
        assert set(read_worker_file(path)) <= set(KEYS)
        assert resolved({"config": str(path)}, {}, path.parent / "nowhere")


def test_an_app_on_the_command_line_counts_before_the_variable_also_for_a_scheduler(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASKMESH_APP", "other:mesh")
    assert (
        resolved(given_by("nowhere_a:mesh"), os.environ, tmp_path, takes_mesh=False).app == "nowhere_a:mesh"
    )
    assert "'nowhere_a'" in CliRunner().invoke(cli, ["scheduler", "nowhere_a:mesh"]).stderr
    for more in (["-A", "nowhere_b:mesh"], ["--mesh", "b"]):
        done = CliRunner().invoke(cli, ["scheduler", "nowhere_a:mesh", *more])
        assert (done.exit_code, "the app is given twice" in done.stderr) == (2, True)


def test_the_file_of_a_scheduler_is_no_worker_s(file):
    with pytest.raises(ConfigError, match=r"\[worker\] is unknown; the options of a scheduler"):
        read_scheduler_file(file("[worker]\nburst = true\n"))
    with pytest.raises(ConfigError, match="option 'burst' in \\[scheduler\\] is unknown"):
        read_scheduler_file(file("[scheduler]\nburst = true\n"))


def test_reloading_is_for_workers_that_last(tmp_path, file):
    assert resolved({"app": "app", "reload_dir": ("/x",)}, {}, tmp_path).reload
    path = file('[worker]\napp = "app"\nreload-dir = ["src"]\n')
    assert resolved({"config": str(path)}, {}, tmp_path).reload_dirs == (str(tmp_path / "src"),)
    with pytest.raises(click.UsageError, match="--burst ends"):
        resolved({"app": "app", "reload": True, "burst": True}, {}, tmp_path)


def test_limits_of_children(tmp_path, file):
    path = file('[worker]\napp = "app"\nmax-tasks-per-child = 5\nmax-memory-per-child = "200MB"\n')
    options = resolved({"config": str(path), "max_memory_per_child": "1GiB"}, {}, tmp_path)
    assert (options.max_tasks_per_child, options.max_memory_per_child) == (5, 1 << 30)
    # what Celery counts in KiB
    with pytest.raises(click.UsageError, match="a bare number is in bytes"):
        resolved({"app": "app", "max_memory_per_child": "200000"}, {}, tmp_path)


@pytest.mark.parametrize(
    ("given", "bounds"), [("8,2", (2, 8)), ("8", (1, 8)), ("3, 3", (3, 3)), ("1024,1", (1, 1024))]
)
def test_bounds_of_the_number_of_children(tmp_path, given, bounds):
    """In Celery's order: the most comes first."""
    options = resolved({"app": "app", "autoscale": given}, {}, tmp_path)
    assert (options.children_min, options.children_max) == bounds


@pytest.mark.parametrize("given", ["2,8", "0", "a,b", "8,0", "1025,1", ",", "8,2,1", "-1"])
def test_bounds_that_cannot_be(tmp_path, given):
    with pytest.raises(
        click.UsageError, match=re.escape(f"--autoscale {given}: expected MAX,MIN") + ".*larger"
    ):
        resolved({"app": "app", "autoscale": given}, {}, tmp_path)


def test_a_number_of_children_and_bounds_contradict_and_the_command_line_counts(tmp_path, file):
    with pytest.raises(click.UsageError, match="-c contradict"):
        resolved({"app": "app", "autoscale": "8,2", "concurrency": 3}, {}, tmp_path)
    with pytest.raises(click.UsageError, match="one pool of processes"):
        resolved({"app": "app", "autoscale": "8,2", "pool": ("async",)}, {}, tmp_path)
    with pytest.raises(click.UsageError, match="--burst contradict"):
        resolved({"app": "app", "autoscale": "8,2", "burst": True}, {}, tmp_path)
    path = str(file('[worker]\napp = "app"\nautoscale = "8,2"\n'))
    assert resolved({"config": path}, {}, tmp_path).children_max == 8
    assert resolved({"config": path, "concurrency": 3}, {}, tmp_path).children_max == 0
    path = str(file('[worker]\napp = "app"\nconcurrency = 3\n'))
    assert resolved({"config": path, "autoscale": "8,2"}, {}, tmp_path).concurrency == 0


def test_the_address_of_a_broker_travels_by_the_environment(file, tmp_path):
    """It holds a password, and everybody can read the command lines of the worker's processes."""
    path = str(file('[worker]\napp = "app"\nbroker = "amqp://me:hidden@host/of-a-file"\n'))
    for given, address in (
        ({"app": "app", "broker": "amqp://me:hidden@host/shop"}, "amqp://me:hidden@host/shop"),
        ({"config": path}, "amqp://me:hidden@host/of-a-file"),
        ({"config": path, "broker": "mesh"}, "mesh"),
    ):
        environ: dict[str, str] = {}
        options = resolved(given, environ, tmp_path)
        assert options.has_broker
        assert environ == {"TASKMESH_BROKER": address}
        assert "hidden" not in repr(options)
    assert not resolved({"app": "app"}, {}, tmp_path).has_broker


def test_what_celery_calls_otherwise_is_understood(tmp_path):
    words = "app:mesh --loglevel=info --hostname=mailer@%h -I shop.tasks,mail.tasks -c 2 -Q a"
    options = resolved(given_by(*words.split()), {}, tmp_path)
    assert options.log_level == "INFO"
    assert options.name == f"mailer@{socket.gethostname()}"
    assert options.include == ("shop.tasks", "mail.tasks")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("-X slow", "leave it out there"),
        ("--exclude-queues=slow", "leave it out there"),
        ("-O fair", "adapts to how long"),
        ("-B", "a leader among the workers"),
        ("-E", "nothing is to be switched on"),
        ("--without-gossip", "leave it out"),
        ("--pidfile /run/x.pid", "systemd"),
    ],
)
def test_an_option_of_celery_that_means_nothing_is_refused_with_what_replaces_it(words, says):
    run = CliRunner().invoke(cli, ["worker", "app:mesh", *words.split()])
    assert run.exit_code == 2
    assert "is an option of Celery" in run.output
    assert says in " ".join(run.output.split())


def test_refused_options_are_not_shown():
    shown = CliRunner().invoke(cli, ["worker", "--help"]).output
    assert "--loglevel" in shown
    assert "gossip" not in shown


@pytest.mark.parametrize("option", ["--grace", "--time-limit", "--soft-time-limit"])
@pytest.mark.parametrize("given", ["nan", "inf", "-1.0"])
def test_what_is_no_number_of_seconds(option, given):
    refused = CliRunner().invoke(cli, ["worker", "app:mesh", option, given])
    assert refused.exit_code == 2
    assert f"Invalid value for '{option}': '{given}': expected" in refused.output


@pytest.mark.parametrize("given", ["nan", "inf", "-1", "1" + "0" * 400])
def test_what_is_no_number_of_seconds_in_a_file(file, given):
    with pytest.raises(ConfigError, match=r"grace = .* in \[worker\]: expected .*seconds"):
        read_worker_file(file(f"[worker]\ngrace = {given}\n"))


@pytest.mark.parametrize("name", ["\udcff", "a\nb", "\x1b[2J", "a\0"])
def test_a_name_that_cannot_be_printed_is_refused(tmp_path, name):
    with pytest.raises(click.UsageError, match=r"name '.*' \(-n\): expected a printable text"):
        resolved({"app": "app", "name": name}, {}, tmp_path)


def test_a_pipe_is_refused_without_a_wait_for_its_writer(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    # waits for a reader, who would then find an empty file
    writer = threading.Thread(target=pipe.write_text, args=("",))
    writer.start()
    try:
        with pytest.raises(ConfigError, match=r"cannot read .*pipe: it is no regular file; --config takes a"):
            read_worker_file(pipe)
    finally:
        read_end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        writer.join(90)
        os.close(read_end)


def test_what_is_no_file_of_options_is_not_read(file):
    with pytest.raises(ConfigError, match="cannot read /dev/zero: it is no regular file"):
        read_worker_file(Path("/dev/zero"))
    with pytest.raises(ConfigError, match="is larger than 1 MiB"):
        read_worker_file(file("#" * (1 << 20) + "#"))
