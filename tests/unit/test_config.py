"""Settings: their sources, how values are read, and what is refused by which words."""

from __future__ import annotations

import inspect
import os
import pickle
import re
from datetime import timedelta
from pathlib import Path

import pytest

from taskmesh.cli.main import SECTIONS
from taskmesh.client.options import TaskArguments
from taskmesh.config import Settings, load_settings
from taskmesh.config.arguments import SettingArguments
from taskmesh.config.elsewhere import REPLACED_BY
from taskmesh.config.nodes import copies, own_acceptors
from taskmesh.config.settings import SETTINGS, AppSetting, app_setting
from taskmesh.core.redact import address_shown
from taskmesh.errors import ConfigError


@pytest.fixture
def load(tmp_path: Path):
    """Load settings for the mesh `shop` from a folder in which no settings file can be found by chance."""

    def run(arguments=None, environ=None, cwd=tmp_path, name="shop", **options) -> Settings:
        return load_settings(name, arguments or {}, environ=environ or {}, cwd=cwd, **options)

    return run


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


# --- sources


def test_defaults_are_those_of_the_design(load):
    settings = load()
    assert (settings.name, settings.nodes, settings.embedded, settings.durability) == (
        "shop",
        (),
        "shared",
        "process",
    )
    assert (settings.result_expires, settings.dead_letter_expires, settings.lease_ttl) == (
        3600,
        7 * 86_400,
        10,
    )
    assert (settings.max_message_size, settings.max_result_size) == (16 << 20, 16 << 20)
    assert (settings.compress_over, settings.slots, settings.max_crashes) == (64 << 10, 1024, 3)
    assert (settings.allow_tasks, settings.allow_by_value, settings.eager) == (("*",), True, False)
    assert (settings.key, settings.key_file, settings.app) == (None, None, None)
    assert set(settings.sources) == set(SETTINGS)
    assert set(settings.sources.values()) == {"default"}
    assert settings.concurrency >= 1


def test_an_argument_beats_a_variable_which_beats_a_file(load, tmp_path):
    write(tmp_path, "taskmesh.toml", 'default_queue = "file"\nmax_crashes = 7\nslots = 64\n')
    environ = {"TASKMESH_DEFAULT_QUEUE": "variable", "TASKMESH_MAX_CRASHES": "8"}
    settings = load({"default_queue": "argument"}, environ)
    assert (settings.default_queue, settings.max_crashes, settings.slots) == ("argument", 8, 64)
    assert settings.source_of("default_queue") == "argument"
    assert settings.source_of("max_crashes") == "TASKMESH_MAX_CRASHES"
    assert settings.source_of("slots") == "taskmesh.toml slots"
    assert settings.source_of("grace") == "default"


def test_an_argument_of_none_and_an_empty_variable_are_not_given(load):
    settings = load(
        {"default_queue": None, "key": None}, {"TASKMESH_DEFAULT_QUEUE": " ", "TASKMESH_NODES": ""}
    )
    assert settings.default_queue == "default"
    assert settings.nodes == ()


def test_the_nearest_file_counts_and_a_pyproject_without_the_table_is_passed_over(load, tmp_path):
    write(tmp_path, "pyproject.toml", '[tool.taskmesh]\ndefault_queue = "far"\nslots = 64\n')
    write(tmp_path / "a", "pyproject.toml", "[project]\nname = 'taskmesh-user'\n[tool.other]\nslots = 3\n")
    write(tmp_path / "a/b", "taskmesh.toml", 'default_queue = "near"\n')
    write(tmp_path / "a/b", "pyproject.toml", '[tool.taskmesh]\ndefault_queue = "beside"\n')
    (tmp_path / "a/b/c").mkdir()

    above = load(cwd=tmp_path / "a")
    assert above.default_queue == "far"
    assert above.source_of("default_queue") == "../pyproject.toml [tool.taskmesh] default_queue"

    below = load(cwd=tmp_path / "a/b/c")
    assert (below.default_queue, below.slots) == ("near", 1024)  # one file is read, never two
    assert below.source_of("default_queue") == "../taskmesh.toml default_queue"


def test_a_named_file_is_read_instead_of_the_nearest_one(load, tmp_path):
    write(tmp_path, "taskmesh.toml", 'default_queue = "near"\n')
    other = write(tmp_path / "elsewhere", "mail.toml", 'default_queue = "mail"\n')
    assert load(file=other).default_queue == "mail"
    with pytest.raises(ConfigError, match=r"nothing\.toml: No such file"):
        load(file=tmp_path / "nothing.toml")


def test_a_file_that_is_not_toml_is_named(load, tmp_path):
    write(tmp_path, "taskmesh.toml", "default_queue = \n")
    with pytest.raises(ConfigError, match=r"taskmesh\.toml is not TOML: .*line 1"):
        load()
    write(tmp_path, "taskmesh.toml", "")
    (tmp_path / "taskmesh.toml").write_bytes(b"default_queue = '\xff'")
    with pytest.raises(ConfigError, match="is not TOML"):
        load()


def test_a_table_must_be_a_table(load, tmp_path):
    write(tmp_path, "pyproject.toml", "[tool]\ntaskmesh = 3\n")
    with pytest.raises(ConfigError, match=r"\[tool\.taskmesh\] in .* must be a table, not 3"):
        load()


@pytest.mark.needs_root
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_that_anyone_could_have_planted_is_refused(load, tmp_path):
    """A stranger's `/tmp/taskmesh.toml` must not send this account's tasks to the stranger's node."""
    shared = tmp_path / "shared"
    path = write(shared, "taskmesh.toml", 'default_queue = "x"\n')
    os.chown(path, 12_345, 12_345)
    path.chmod(0o644)
    assert load(cwd=shared).default_queue == "x"  # a stranger's file in a folder of our own
    shared.chmod(0o1777)
    (shared / "mine").mkdir()
    with pytest.raises(ConfigError, match=r"belongs to another user \(12345\)"):
        load(cwd=shared / "mine")


def test_from_a_deleted_folder_no_file_is_found(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    write(tmp_path, "taskmesh.toml", "max_crashes = 7\n")
    monkeypatch.chdir(gone)
    gone.rmdir()
    settings = load_settings("shop", {"concurrency": 2}, environ={"TASKMESH_APP": "shop:mesh"}, cwd=".")
    assert (settings.max_crashes, settings.concurrency, settings.app) == (3, 2, "shop:mesh")
    assert app_setting({}, ".") is None


def test_a_relative_key_file_is_relative_to_what_names_it(load, tmp_path):
    write(tmp_path, "taskmesh.toml", 'key_file = "secrets/key"\n')
    (tmp_path / "src").mkdir()
    assert load(cwd=tmp_path / "src").key_file == str(tmp_path / "secrets/key")
    settings = load(environ={"TASKMESH_KEY_FILE": "key"}, cwd=tmp_path / "src")
    assert settings.key_file == str(tmp_path / "src/key")


def test_variables_of_others_are_left_alone(load):
    kubernetes = {
        "TASKMESH_SERVICE_HOST": "10.0.0.1",
        "TASKMESH_SERVICE_PORT": "6379",
        "TASKMESH_SERVICE_PORT_REDIS": "6379",
        "TASKMESH_PORT": "tcp://10.0.0.1:6379",
        "TASKMESH_PORT_6379_TCP": "tcp://10.0.0.1:6379",
        "TASKMESH_PORT_6379_TCP_ADDR": "10.0.0.1",
        "TASKMESH_NODE_1_SERVICE_HOST": "10.0.0.1",
    }
    load(environ={**kubernetes, "TASKMESH_START_METHOD": "spawn", "TASKMESH_TEST_SEEDS": "3", "PATH": "/bin"})


def test_the_app_is_found_before_anything_is_imported(tmp_path):
    assert app_setting({}, tmp_path) is None
    write(tmp_path, "pyproject.toml", '[tool.taskmesh]\napp = "shop.tasks:mesh"\n')
    here = AppSetting("shop.tasks:mesh", "pyproject.toml [tool.taskmesh] app", str(tmp_path))
    assert app_setting({}, tmp_path) == here
    assert app_setting({"TASKMESH_APP": "a:b"}, tmp_path) == AppSetting("a:b", "TASKMESH_APP", str(tmp_path))


def test_an_app_is_imported_from_the_folder_of_the_file_that_names_it(tmp_path):
    write(tmp_path, "taskmesh.toml", 'app = "shop:mesh"\n')
    below = tmp_path / "src"
    below.mkdir()
    assert app_setting({}, below) == AppSetting("shop:mesh", "../taskmesh.toml app", str(tmp_path))
    assert app_setting({"TASKMESH_APP": "a:b"}, below) == AppSetting("a:b", "TASKMESH_APP", str(below))


# --- how values are read


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        (timedelta(hours=1), 3600),
        ("90", 90),
        ("90s", 90),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1 h 30 min", 5400),
        ("2.5m", 150),
        ("1500ms", 1.5),
        ("7d", 604_800),
        ("2W", 1_209_600),
    ],
)
def test_durations(load, given, seconds):
    assert load({"result_expires": given}).result_expires == seconds


@pytest.mark.parametrize(
    "given",
    ["", "h", "1x", "1h5", "-1s", "1..5s", "one hour", "٣s", True, [], b"1s", float("nan"), "1_0s", "."],
)
def test_what_is_no_duration(load, given):
    with pytest.raises(ConfigError, match=r"setting result_expires = .*: expected"):
        load({"result_expires": given})


@pytest.mark.parametrize(
    "given", [0, -1, "0.5s", "10000d", float("inf"), timedelta(milliseconds=1), 10**400, -(10**400)]
)
def test_durations_have_bounds(load, given):
    with pytest.raises(ConfigError, match=r"expected 1 to 94608000 seconds \(1095 days\)"):
        load({"result_expires": given})


@pytest.mark.parametrize(
    ("given", "octets"),
    [
        (65_536, 65_536),
        ("65536", 65_536),
        ("64KiB", 65_536),
        ("64 kib", 65_536),
        ("1MiB", 1 << 20),
        ("1.5 MB", 1_500_000),
        ("4096B", 4096),
    ],
)
def test_sizes(load, given, octets):
    assert load({"max_message_size": given}).max_message_size == octets


@pytest.mark.parametrize(
    "given", ["", "MiB", "64K", "1MiBs", 1.5, True, None.__class__, "-1", 1023, "1GiB", "9" * 400]
)
def test_what_is_no_size(load, given):
    with pytest.raises(ConfigError, match=r"setting max_message_size = .*: expected"):
        load({"max_message_size": given})


@pytest.mark.parametrize(
    ("given", "read"), [("TRUE", True), ("1", True), ("on", True), ("No", False), (False, False)]
)
def test_flags(load, given, read):
    assert load({"allow_by_value": given}).allow_by_value is read


@pytest.mark.parametrize("given", ["2", "", 1, "maybe"])
def test_what_is_no_flag(load, given):
    with pytest.raises(ConfigError, match="expected true or false"):
        load({"eager": given})


@pytest.mark.parametrize("given", [0, -1, 100, "3.0", True, 3.0, "٣"])
def test_what_is_no_whole_number(load, given):
    with pytest.raises(ConfigError, match=r"setting max_crashes = .*: expected a whole number from 1 to 99"):
        load({"max_crashes": given})


def test_lists_come_as_lists_or_as_text(load, tmp_path):
    assert load({"allow_tasks": ["a.*", "b"]}).allow_tasks == ("a.*", "b")
    assert load(environ={"TASKMESH_ALLOW_TASKS": "a.*, b,"}).allow_tasks == ("a.*", "b")
    write(tmp_path, "taskmesh.toml", 'allow_tasks = ["c"]\n')
    assert load().allow_tasks == ("c",)
    with pytest.raises(ConfigError, match="expected a list of texts"):
        load({"allow_tasks": ["a", 3]})


def test_words_are_read_in_any_case(load):
    settings = load({"log_level": "debug", "durability": "DISK"})
    assert (settings.log_level, settings.durability) == ("DEBUG", "disk")


def test_the_nearest_word_is_named(load):
    with pytest.raises(ConfigError) as caught:
        load(environ={"TASKMESH_DURABILITY": "proces"})
    assert str(caught.value) == (
        "setting durability = 'proces' (TASKMESH_DURABILITY): expected one of process, disk, memory; "
        "did you mean process?"
    )
    facts = caught.value.__dict__
    assert (facts["setting"], facts["source"], facts["nearest"]) == (
        "durability",
        "TASKMESH_DURABILITY",
        "process",
    )


@pytest.mark.parametrize("name", ["a b", "a,b", "a:b", "a=1", "", "ü", "x" * 101, 3])
def test_what_is_no_queue(load, name):
    with pytest.raises(ConfigError, match="a queue's name has 1 to 100"):
        load({"default_queue": name})


@pytest.mark.parametrize("path", ["shop", "shop:mesh", "shop.tasks:mesh", "shop:apps.mesh"])
def test_app_paths(load, path):
    assert load({"app": path}).app == path


@pytest.mark.parametrize(
    "path", ["", "shop/tasks.py", "shop.tasks:", "1shop:mesh", "shop:mesh()", ":mesh", 3]
)
def test_what_is_no_app_path(load, path):
    if path == "shop.tasks:":
        assert load({"app": path}).app == path  # the attribute may be left to be found
    else:
        with pytest.raises(ConfigError, match="expected module:attribute"):
            load({"app": path})


@pytest.mark.parametrize("name", ["shop", "Shop-2.test_x", "a" * 64])
def test_mesh_names(load, name):
    assert load(name=name).name == name


@pytest.mark.parametrize("name", ["", "a" * 65, "a b", "a/b", "ä", "..", ".", None, 3, "a\n"])
def test_what_is_no_mesh_name(load, name):
    with pytest.raises(ConfigError, match="a mesh cannot be named"):
        load(name=name)


# --- nodes


@pytest.mark.parametrize(
    "url",
    ["redis://localhost:6379", "redis://127.0.0.1", "rediss://u:p@[::1]:6379/0", "unix:///run/valkey.sock"],
)
def test_one_node(load, url):
    assert load({"nodes": [url]}).nodes == (url,)
    assert load({"nodes": url}).nodes == (url,)
    assert load(environ={"TASKMESH_NODES": url}).nodes == (url,)


def test_several_nodes(load):
    urls = ("redis://a", "redis://b:7000/1", "unix:///run/valkey.sock")
    assert load({"nodes": list(urls)}).nodes == urls
    assert load(environ={"TASKMESH_NODES": ",".join(urls)}).nodes == urls


@pytest.mark.parametrize(
    "urls",
    [["redis://a:6379/0", "redis://b", "redis://a/1"], ["unix:///a?db=0", "redis://b", "unix:///a?db=1"]],
)
def test_two_nodes_on_one_server(load, urls):
    with pytest.raises(
        ConfigError, match="on a server that is named before; two nodes on one server are lost"
    ):
        load({"nodes": urls})


def test_as_many_copies_as_nodes_three_at_most():
    assert [copies(None, nodes) for nodes in (1, 2, 3, 4, 30)] == [1, 2, 3, 3, 3]
    assert [copies(said, 9) for said in (1, 2, 9)] == [1, 2, 9]
    with pytest.raises(ValueError, match="3 copies of each message need as many nodes, and there is one"):
        copies(3, 1)
    with pytest.raises(ValueError, match="and there are 2; give more nodes, or lower replicas"):
        copies(3, 2)


@pytest.mark.parametrize("given", [{"nodes": ["redis://a", "redis://b"]}, {"embedded_nodes": 2}])
def test_more_copies_than_nodes_are_refused(load, given):
    assert load({**given, "replicas": 2}).replicas == 2
    with pytest.raises(
        ConfigError, match="3 copies of each message need as many nodes, and 2 are given"
    ) as caught:
        load({**given, "replicas": 3})
    assert caught.value.setting == "replicas"


@pytest.mark.parametrize("replicas", [0, 10, "two"])
def test_one_to_nine_copies(load, replicas):
    with pytest.raises(ConfigError, match="expected a whole number from 1 to 9"):
        load({"replicas": replicas})


def test_embedded_nodes_or_ones_of_the_user(load):
    assert load({"embedded_nodes": 3}).nodes == ()
    assert load(environ={"TASKMESH_EMBEDDED_NODES": "3"}).embedded_nodes == 3
    with pytest.raises(ConfigError, match=r"nodes .* and embedded_nodes .* contradict"):
        load({"embedded_nodes": 3, "nodes": ["redis://a"]})


def test_the_first_odd_number_of_nodes_agrees_unless_others_are_named():
    urls = tuple("abcdefg")
    assert [len(own_acceptors(urls[:count])) for count in range(1, 8)] == [0, 1, 3, 3, 5, 5, 5]
    assert own_acceptors(urls) == urls[:5]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:6379", "is redis://localhost:6379 meant"),
        ("valkey://localhost", "is redis://localhost meant"),
        ("amqp://localhost", "expected redis://host:port"),
        ("redis+sentinel://localhost/main", "Redis Sentinel is not supported"),
        ("redis-cluster://localhost", "Redis Cluster is not supported"),
        ("redis://localhost?cluster=true", "Redis Cluster is not supported"),
        ("redis://", "expected a host"),
        ("redis://localhost:port", "the port is wrong"),
        ("redis://localhost:99999", "the port is wrong"),
        (f"redis://{'a' * 64}.example", "no name of a host"),
        ("redis://a..example", "no name of a host"),
        ("unix://run/valkey.sock", "expected the absolute path"),
    ],
)
def test_what_is_no_node(load, url, says):
    with pytest.raises(ConfigError, match=says):
        load({"nodes": [url]})


@pytest.mark.parametrize("count", [1, 3, 5])
def test_one_three_or_five_acceptors(load, count):
    urls = tuple(f"redis://10.0.0.{at}:7001" for at in range(count))
    assert load({"acceptors": list(urls)}).acceptors == urls
    assert load(environ={"TASKMESH_ACCEPTORS": ",".join(urls)}).acceptors == urls
    assert load({"acceptors": urls, "embedded": "private"}).embedded == "private"


@pytest.mark.parametrize(
    ("urls", "says"),
    [
        (["redis://a", "redis://b"], "2 are given; name 1, 3 or 5"),
        ([f"redis://a:{port}" for port in range(7)], "7 are given"),
        (["redis://a:6379/0", "redis://b", "redis://a/1"], "redis://a/1 is on a server that is named before"),
        (["unix:///a?db=0", "redis://b", "unix:///a?db=1"], "on a server that is named before"),
        (["redis://a", "redis://b", "b:7000"], "is redis://b:7000 meant"),
    ],
)
def test_what_are_no_acceptors(load, urls, says):
    with pytest.raises(ConfigError, match=says):
        load({"acceptors": urls})


def test_passwords_of_acceptors_are_not_shown(load):
    assert load({"acceptors": ["redis://u:hunter2@a"]}).shown()["acceptors"] == ("redis://u:***@a",)


@pytest.mark.parametrize(
    ("url", "as_shown"),
    [
        ("redis://a:6379/0", "redis://a:6379/0"),
        ("redis://u:p@a", "redis://u:***@a"),
        ("redis://:p@s@/s@a:1", "redis://:***@a:1"),
        ("redis://u@a", "redis://u@a"),
        ("u:p@a", "u:***@a"),
        ("unix:///x?db=1&password=p", "unix:///x?db=1&password=***"),
    ],
)
def test_a_node_is_shown_without_its_password(url, as_shown):
    assert address_shown(url) == as_shown


# --- contradictions


def test_of_two_ways_to_say_one_thing_the_stronger_source_counts(load, tmp_path):
    write(tmp_path, "taskmesh.toml", 'nodes = ["redis://localhost"]\nkey = "file"\n')
    settings = load({"embedded": "private"}, {"TASKMESH_KEY_FILE": "/k"})
    assert (settings.nodes, settings.embedded) == ((), "private")
    assert settings.source_of("nodes") == "default (taskmesh.toml nodes set aside for embedded, argument)"
    assert (settings.key, settings.key_file) == (None, "/k")


def test_one_source_that_gives_both_contradicts_itself(load):
    with pytest.raises(
        ConfigError, match=r"settings key \(argument\) and key_file \(argument\) contradict; give one"
    ):
        load({"key": "k", "key_file": "f"})
    with pytest.raises(
        ConfigError, match=r"nodes \(TASKMESH_NODES\) and embedded \(TASKMESH_EMBEDDED\) contradict"
    ):
        load(environ={"TASKMESH_NODES": "redis://localhost", "TASKMESH_EMBEDDED": "private"})
    assert load({"nodes": [], "embedded": "private"}).embedded == "private"


# --- what is refused by name


def test_an_unknown_setting_is_named_with_its_value_source_and_neighbour(load, tmp_path):
    with pytest.raises(ConfigError) as caught:
        load({"nodez": ["redis://u:hunter2@a"]})
    assert (
        str(caught.value) == "setting nodez = ['redis://u:***@a'] (argument) is unknown; did you mean nodes?"
    )
    with pytest.raises(
        ConfigError, match=r"TASKMESH_LEASE_TLL\) is unknown; did you mean TASKMESH_LEASE_TTL\?"
    ):
        load(environ={"TASKMESH_LEASE_TLL": "3"})
    write(tmp_path, "pyproject.toml", "[tool.taskmesh]\nflux_capacitor = 1\n")
    with pytest.raises(
        ConfigError, match=r"\[tool.taskmesh\] flux_capacitor\) is unknown; `taskmesh config` lists"
    ):
        load()


def test_errors_survive_pickling_with_their_facts(load):
    with pytest.raises(ConfigError) as caught:
        load({"nodez": 1})
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.__dict__ == caught.value.__dict__


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("task_acks_late", "no acknowledgement to place"),
        ("acks_late", "no acknowledgement to place"),
        ("CELERY_ACKS_LATE", "no acknowledgement to place"),
        ("CELERY_TASK_ALWAYS_EAGER", "use eager"),
        ("CELERY_TASK_RESULT_EXPIRES", "use result_expires"),
        ("CELERYD_CONCURRENCY", "use concurrency"),
        ("CELERYBEAT_SCHEDULE", "mesh.schedule"),
        ("CELERY_DEFAULT_QUEUE", "use default_queue"),
        ("BROKER_URL", "kept on nodes"),
        ("result_backend", "give nodes"),
        ("visibility_timeout", "lease_ttl"),
        ("broker_transport_options", "in addresses"),
        ("task_default_queue", "use default_queue"),
        ("worker_concurrency", "-c N"),
        ("worker_prefetch_multiplier", "adapts"),
        ("task_serializer", "pickled and signed"),
        ("accept_content", "pickled and signed"),
        ("task_reject_on_worker_lost", "max_crashes"),
        ("imports", "use include"),
        ("worker_max_tasks_per_child", "use max_tasks_per_child"),
        ("worker_max_memory_per_child", "a unit"),
        ("beat_schedule", "a leader among the workers"),
    ],
)
def test_a_setting_of_celery_is_refused_with_what_replaces_it(load, name, says):
    with pytest.raises(ConfigError, match=rf"setting {name} = 1 \(argument\) is a setting of Celery.*{says}"):
        load({name: 1})
    with pytest.raises(ConfigError, match="is a setting of Celery"):
        load(environ={f"TASKMESH_{name.upper()}": "1"})


def test_no_word_of_celery_hides_a_setting_of_ours():
    assert len(REPLACED_BY) >= 25
    assert not set(REPLACED_BY) & set(SETTINGS)


def test_what_replaces_a_setting_exists():
    """`use x` must name a setting."""
    for name, text in REPLACED_BY.items():
        if text.startswith("use ") and not text.startswith("use `"):
            assert text.split()[1].strip(",:") in SETTINGS, name


def test_nothing_that_exists_is_said_to_be_missing():
    text = " ".join(REPLACED_BY.values())
    missing = set(re.findall(r"this version has (none|no \w+)", text))
    assert missing == {"no chords"}
    assert set(re.findall(r"`taskmesh ([a-z]+)", text)) <= {
        name for part in SECTIONS.values() for name in part
    }
    assert set(re.findall(r"@mesh\.task\((\w+)=", text)) <= TaskArguments.__annotations__.keys()


# --- secrets


def test_secrets_are_never_shown(load):
    settings = load({"key": "hunter2", "nodes": ["redis://u:hunter2@localhost"]})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.shown())
    assert settings.shown()["key"] == "set"
    assert settings.shown()["nodes"] == ("redis://u:***@localhost",)
    assert settings.key == "hunter2"
    assert load().shown()["key"] is None
    assert repr(settings).startswith("Settings('shop', nodes=('redis://u:***@localhost',), key='set'")


@pytest.mark.parametrize(
    "arguments", [{"key": 3.7}, {"keyy": "hunter2"}, {"password": "hunter2"}, {"key": ["hunter2"]}]
)
def test_errors_do_not_show_secrets(load, arguments):
    with pytest.raises(ConfigError) as caught:
        load(arguments)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__dict__)
    assert "(not shown)" in str(caught.value)


def test_a_password_with_a_slash_is_not_taken_for_a_port_and_quoted(load):
    with pytest.raises(ConfigError, match="the port is wrong") as caught:
        load({"nodes": ["redis://u:hunt/er2@localhost"]})
    assert "hunt" not in str(caught.value)
    assert "hunt" not in str(caught.value.__cause__)


def test_a_long_value_is_cut(load):
    with pytest.raises(ConfigError) as caught:
        load({"durability": "x" * 10_000})
    assert len(str(caught.value)) < 400


# --- the object


def test_a_value_that_cannot_be_shown_is_refused_all_the_same(load):
    ring: list[object] = []
    ring.append(ring)
    for given in (ring, 10**5000):
        with pytest.raises(ConfigError, match=r"setting max_crashes = a (list|int) that cannot be shown"):
            load({"max_crashes": given})


def test_settings_are_frozen_and_survive_pickling(load):
    settings = load({"nodes": ["redis://localhost"]})
    with pytest.raises(AttributeError):
        settings.slots = 3  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(settings))
    assert again == settings
    assert hash(again) == hash(settings)
    assert again.sources == settings.sources


def test_every_setting_is_an_attribute_and_described():
    # newer Pythons take the indentation away themselves
    described = inspect.cleandoc(Settings.__doc__ or "")
    for name in SETTINGS:
        assert f"\n    {name}: " in described
    assert set(SETTINGS) | {"name", "sources"} == set(Settings.__dataclass_fields__)


def test_every_setting_is_an_argument_that_type_checkers_know():
    assert set(SettingArguments.__annotations__) == set(SETTINGS)
