"""What can be set, and the value each setting has in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from taskmesh.config import values
from taskmesh.config.sources import (
    VARIABLE_PREFIX,
    Given,
    absolute,
    from_arguments,
    from_file,
    from_variables,
)
from taskmesh.config.strategies import DEFAULT as DEFAULT_STRATEGY
from taskmesh.config.strategies import strategy_name
from taskmesh.core.limits import LIMIT_S_MAX, contradiction
from taskmesh.core.lines import queue_name
from taskmesh.core.redact import is_secret_name
from taskmesh.errors import ConfigError

MESH_NAME_LENGTH_MAX = 64
_MESH_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
TASKS_PER_CHILD_MAX = 1_000_000_000
NODES_PER_WORKER_MAX = 255
COPIES_MAX = 9
EMBEDDED_NODES_MAX = 9
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS = (TEXT, JSON) = ("text", "json")
_THREE_YEARS_S = 3 * 365 * 86_400.0  # a lifetime has eight digits in a record
_LARGEST_MESSAGE = 256 << 20  # Redis holds 512 MiB in one value, and the record has other parts
_SECRETS = frozenset({"key"})


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """The settings of one mesh as one process sees it. Durations are in seconds, sizes in bytes.

    Attributes:
        name: The mesh: 1 to 64 of `A-Z a-z 0-9 _ . -`.
        nodes: Addresses of the nodes, `redis://`, `rediss://` or `unix://`; empty: the embedded node.
        acceptors: Addresses of the 1, 3 or 5 servers that keep what is agreed upon (leader, schedules, locks, small
            files, settings of queues); empty: the first 1, 3 or 5 of the nodes.
        broker: Address of a broker that tells workers which queue has work, `amqp://` or another that kombu speaks, or
            `module:attribute`; None: the nodes tell them, which is faster.
        replicas: On how many nodes a record of each message stands; None: on all, three at most.
        embedded: `shared`: this account's embedded node of this name; `private`: its own, gone at exit.
        embedded_nodes: How many embedded nodes the mesh has; None: as many as it was made with, one for a new one.
        durability: What the embedded node's data survives: `process` death, power loss (`disk`),
            nothing (`memory`).
        key: The secret with which everything is signed, as it was given.
        key_file: A file that holds it.
        default_queue: Where messages go when nothing else says.
        routes: Pattern of task names and queue; the first that fits counts, before what the task says.
        result_expires: How long an outcome is kept.
        dead_letter_expires: How long a dead letter is kept.
        max_message_size: The largest message that is sent or accepted.
        max_result_size: The largest outcome that is stored or accepted.
        compress_over: What is larger is compressed.
        max_crashes: A message whose worker process died this many times becomes a dead letter.
        lease_ttl: How long a machine's heartbeat may stand still before it counts as dead.
        send_timeout: How long a send is tried before it raises, and what else asks the node: `state`, `revoke()`.
        connect_timeout: How long a connection to a node may take.
        unknown_task_grace: How long a message waits for a worker whose build knows its task.
        eager: Run tasks inline, in the caller; nothing is sent.
        allow_tasks: Patterns of the task names that a worker accepts.
        allow_by_value: Whether a worker accepts functions sent by value.
        slots: Into how many slots ids are divided; fixed when the mesh is made.
        include: Modules with tasks, which workers import after the app's own.
        app: `module:attribute` of the app, for the commands only.
        startup_timeout: How long a worker waits at its start for a node that is not there; 0: until it is.
        grace: How long a worker lets running tasks finish after the first signal.
        soft_time_limit: How long a task may run before it is told so, unless it has a limit of its own; 0: no limit.
        time_limit: How long a task may run before it is ended, unless it has a limit of its own; 0: no limit.
        concurrency: Worker processes of one `taskmesh worker`.
        max_tasks_per_child: After so many tasks a worker replaces a child; 0 for never.
        max_memory_per_child: With so much private memory a worker replaces a child; 0 for never.
        nodes_per_worker: From how many nodes of a large mesh the children of one worker claim; 0 for all, up to 8.
        strategy: From which of its queues a worker takes next, see `taskmesh.balancing`.
        log_level: `DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`.
        log_format: `text`, or `json` for a JSON document per line.
        log_arguments: Whether a worker that says that a task starts or fails tells its arguments, without the secrets
            that can be found in them.
        configure_logging: Whether a worker gives the root logger a handler when the app's import has not.
        probes: Where a worker or scheduler serves probes and metrics, `host:port`; empty or None: nowhere.
        sources: Where each value came from: `argument`, a variable, a place in a file, or `default`.
    """

    name: str
    nodes: tuple[str, ...]
    acceptors: tuple[str, ...]
    broker: str | None
    replicas: int | None
    embedded: str
    embedded_nodes: int | None
    durability: Literal["process", "disk", "memory"]
    key: str | bytes | None
    key_file: str | None
    default_queue: str
    routes: tuple[tuple[str, str], ...]
    result_expires: float
    dead_letter_expires: float
    max_message_size: int
    max_result_size: int
    compress_over: int
    max_crashes: int
    lease_ttl: float
    send_timeout: float
    connect_timeout: float
    unknown_task_grace: float
    eager: bool
    allow_tasks: tuple[str, ...]
    allow_by_value: bool
    slots: int
    include: tuple[str, ...]
    app: str | None
    startup_timeout: float
    grace: float
    soft_time_limit: float
    time_limit: float
    concurrency: int
    max_tasks_per_child: int
    max_memory_per_child: int
    nodes_per_worker: int
    strategy: str
    log_level: str
    log_format: str
    log_arguments: bool
    configure_logging: bool
    probes: str | None
    sources: Mapping[str, str] = field(compare=False)

    @property
    def asked_of_servers(self) -> Literal["process", "disk", "memory"]:
        """What servers of the user's own are to survive; of embedded ones, which are started so, nothing is asked."""
        return self.durability if self.nodes else "memory"

    def with_broker(self, address: str) -> Settings:
        """Return the same with another broker, as somebody asked for who knows better than the app.

        Raises:
            ConfigError: It is none.
        """
        from dataclasses import replace

        broker = _read(Given("broker", address, "option -b", 0, ""))
        return replace(self, broker=broker, sources={**self.sources, "broker": "option -b"})

    def source_of(self, name: str) -> str:
        """Return where the value of a setting came from, in words for people."""
        return self.sources[name]

    def route(self, task: str) -> str | None:
        """Return the queue that `routes` names for a task; None if no pattern fits."""
        if not self.routes:
            return None
        from fnmatch import fnmatchcase

        return next((queue for pattern, queue in self.routes if fnmatchcase(task, pattern)), None)

    def shown(self) -> dict[str, Any]:
        """Return every setting by name, fit for a screen: secrets are `set` or None, passwords `***`."""
        return {name: _fit_to_show(name, getattr(self, name)) for name in SETTINGS}

    def __repr__(self) -> str:
        """Return the name and what is not a default, without secrets."""
        given = [
            f"{name}={value!r}"
            for name, value in self.shown().items()
            if not self.sources[name].startswith("default")
        ]
        return f"Settings({', '.join([repr(self.name), *given])})"


@dataclass(frozen=True, slots=True)
class Setting:
    """How one setting is read, and what it is when nobody gives it.

    Attributes:
        read: Turns a given value into the setting's, or raises `ValueError` saying what is expected.
        default: The value when none is given, or what makes it.
    """

    read: values.Reader
    default: Any

    def default_value(self) -> Any:
        """Return the value when none is given."""
        return self.default() if callable(self.default) else self.default


def _node_urls(value: Any) -> tuple[str, ...]:
    from taskmesh.config.nodes import node_urls  # costs urllib, and most processes set no nodes

    return node_urls(value)


def _acceptor_urls(value: Any) -> tuple[str, ...]:
    from taskmesh.config.nodes import acceptor_urls

    return acceptor_urls(value)


def _broker_address(value: Any) -> str | None:
    from taskmesh.config.brokers import broker_address

    return broker_address(value)


def _cpu_count() -> int:
    # A container or `taskset` may leave fewer than the machine has.
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


SETTINGS: Mapping[str, Setting] = {
    "nodes": Setting(_node_urls, ()),
    "acceptors": Setting(_acceptor_urls, ()),
    "broker": Setting(_broker_address, None),
    "replicas": Setting(values.whole(1, COPIES_MAX), None),
    "embedded": Setting(values.one_of("shared", "private"), "shared"),
    "embedded_nodes": Setting(values.whole(1, EMBEDDED_NODES_MAX), None),
    "durability": Setting(values.one_of("process", "disk", "memory"), "process"),
    "key": Setting(values.secret, None),
    "key_file": Setting(values.file_path, None),
    "default_queue": Setting(queue_name, "default"),
    "routes": Setting(values.routes, ()),
    "result_expires": Setting(values.duration(1, _THREE_YEARS_S), 3600.0),
    "dead_letter_expires": Setting(values.duration(1, _THREE_YEARS_S), 7 * 86_400.0),
    "max_message_size": Setting(values.size(1 << 10, _LARGEST_MESSAGE), 16 << 20),
    "max_result_size": Setting(values.size(1 << 10, _LARGEST_MESSAGE), 16 << 20),
    "compress_over": Setting(values.size(0, _LARGEST_MESSAGE), 64 << 10),
    "max_crashes": Setting(values.whole(1, 99), 3),
    "lease_ttl": Setting(values.duration(1, 3600), 10.0),
    "send_timeout": Setting(values.duration(0.05, 3600), 10.0),
    "connect_timeout": Setting(values.duration(0.05, 3600), 5.0),
    "unknown_task_grace": Setting(values.duration(0, 30 * 86_400), 300.0),
    "eager": Setting(values.flag, default=False),
    "allow_tasks": Setting(values.names, ("*",)),
    "allow_by_value": Setting(values.flag, default=True),
    "slots": Setting(values.whole(1, 65_536), 1024),
    "include": Setting(values.modules, ()),
    "app": Setting(values.app_path, None),
    "startup_timeout": Setting(values.duration(0, 7 * 86_400), 0.0),
    "grace": Setting(values.duration(0, 7 * 86_400), 30.0),
    "soft_time_limit": Setting(values.duration(0, LIMIT_S_MAX), 0.0),
    "time_limit": Setting(values.duration(0, LIMIT_S_MAX), 0.0),
    "concurrency": Setting(values.whole(1, 1024), _cpu_count),
    "max_tasks_per_child": Setting(values.whole(0, TASKS_PER_CHILD_MAX), 0),
    "max_memory_per_child": Setting(values.limit_of_memory, 0),
    "nodes_per_worker": Setting(values.whole(0, NODES_PER_WORKER_MAX), 0),
    "strategy": Setting(strategy_name, DEFAULT_STRATEGY),
    "log_level": Setting(values.one_of(*LOG_LEVELS), "INFO"),
    "log_format": Setting(values.one_of(*LOG_FORMATS), TEXT),
    "log_arguments": Setting(values.flag, default=False),
    "configure_logging": Setting(values.flag, default=True),
    "probes": Setting(values.probes, None),
}

# Two ways to say one thing: the stronger source counts, and one source that gives both contradicts itself.
_EITHER_OR = (("key", "key_file"), ("nodes", "embedded"), ("nodes", "embedded_nodes"))


def load_settings(
    name: str,
    arguments: Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    cwd: str | os.PathLike[str],
    file: str | os.PathLike[str] | None = None,
) -> Settings:
    """Return the settings of a mesh from arguments, `TASKMESH_*` variables and the nearest settings file.

    Args:
        name: The mesh.
        arguments: What the caller gave, by name; None means not given.
        environ: The variables of the process.
        cwd: The folder from which the search for a file starts.
        file: A settings file to read instead of the nearest one.

    Raises:
        ConfigError: A setting is unknown, impossible or contradicts another; its facts are `setting`,
            `value` (without secrets), `source` and `nearest`.
    """
    check_mesh_name(name)
    folder = absolute(cwd)
    given = [
        *from_arguments(arguments, folder),
        *from_variables(environ, folder),
        *from_file(folder, None if file is None else os.fspath(file)),
    ]
    return _settings(name, _strongest(given))


@dataclass(frozen=True, slots=True)
class AppSetting:
    """The app that the surroundings name.

    Attributes:
        app: `module:attribute`, or a file such as `app.py`.
        source: Where that was said, in words for people.
        folder: What it is relative to: the settings file's own, or the current one for a variable.
    """

    app: str
    source: str
    folder: str


def app_setting(environ: Mapping[str, str], cwd: str | os.PathLike[str]) -> AppSetting | None:
    """Return the app that a variable or the nearest settings file names."""
    folder = absolute(cwd)
    given = [*from_variables(environ, folder), *from_file(folder)]
    found = _strongest(item for item in given if item.name == "app").get("app")
    return AppSetting(_read(found), found.source, found.folder) if found else None


def probes_setting(environ: Mapping[str, str], cwd: str | os.PathLike[str]) -> str | None:
    """Return where the surroundings say that probes are to be served, as `Settings.probes` has it; None if nowhere."""
    found: str | None = _setting("probes", environ, cwd)
    return found


def log_format_setting(environ: Mapping[str, str], cwd: str | os.PathLike[str]) -> str | None:
    """Return the format of logs that the surroundings name; None if they name none."""
    found: str | None = _setting("log_format", environ, cwd)
    return found


def _setting(name: str, environ: Mapping[str, str], cwd: str | os.PathLike[str]) -> Any:
    """Return what a variable or the nearest settings file says; None if they do not."""
    folder = absolute(cwd)
    given = [*from_variables(environ, folder), *from_file(folder)]
    found = _strongest(item for item in given if item.name == name).get(name)
    return _read(found) if found else None


def check_mesh_name(name: str) -> str:
    """Return the name of a mesh, or raise `ConfigError` if it cannot be one."""
    if (
        isinstance(name, str)
        and 1 <= len(name) <= MESH_NAME_LENGTH_MAX
        and _MESH_NAME_CHARACTERS.issuperset(name)
        and name.strip(".")
    ):
        return name
    raise ConfigError(
        f"a mesh cannot be named {name!r}: "
        f"give 1 to {MESH_NAME_LENGTH_MAX} of A-Z a-z 0-9 _ . -, not dots alone",
        setting="name",
        value=name,
    )


def _strongest(given: Iterable[Given]) -> dict[str, Given]:
    strongest: dict[str, Given] = {}
    for item in given:
        if item.name not in SETTINGS:
            raise _unknown(item)
        held = strongest.get(item.name)
        if held is None or item.rank < held.rank:
            strongest[item.name] = item
    return strongest


def _settings(name: str, given: Mapping[str, Given]) -> Settings:
    found = {key: _read(item) for key, item in given.items()}
    sources = {key: given[key].source if key in given else "default" for key in SETTINGS}
    for pair in _EITHER_OR:
        aside = _set_aside(pair, given, found)
        if aside:
            other = pair[1] if aside == pair[0] else pair[0]
            del found[aside]
            sources[aside] = f"default ({given[aside].source} set aside for {other}, {given[other].source})"
    complete = {key: found[key] if key in found else spec.default_value() for key, spec in SETTINGS.items()}
    _refuse_contradiction(complete, sources)
    return Settings(name=name, sources=sources, **complete)


def _refuse_contradiction(complete: Mapping[str, Any], sources: Mapping[str, str]) -> None:
    wrong = contradiction(complete["soft_time_limit"], complete["time_limit"])
    if wrong:
        raise _contradicting(wrong, "soft_time_limit", "time_limit", complete, sources)
    replicas = complete["replicas"]
    for name, nodes in (("nodes", len(complete["nodes"])), ("embedded_nodes", complete["embedded_nodes"])):
        if replicas is None or not nodes or replicas <= nodes:
            continue
        wrong = f"{replicas} copies of each message need as many nodes, and {nodes} are given"
        raise _contradicting(wrong, "replicas", name, complete, sources)


def _contradicting(
    wrong: str, name: str, other: str, complete: Mapping[str, Any], sources: Mapping[str, str]
) -> ConfigError:
    return ConfigError(
        f"settings {name} ({sources[name]}), {other} ({sources[other]}): {wrong}",
        setting=name,
        value=complete[name],
        source=sources[name],
    )


def _set_aside(pair: tuple[str, str], given: Mapping[str, Given], found: Mapping[str, Any]) -> str | None:
    """Return which of two settings does not count because a stronger source gives the other."""
    first, second = pair
    if first not in found or second not in found or found[first] == ():
        return None
    if given[first].rank == given[second].rank:
        raise ConfigError(
            f"settings {first} ({given[first].source}) and {second} ({given[second].source}) contradict; "
            "give one",
            setting=first,
            source=given[first].source,
        )
    return second if given[first].rank < given[second].rank else first


def _read(item: Given) -> Any:
    try:
        value = SETTINGS[item.name].read(item.value)
    except ValueError as error:
        choices = error.choices if isinstance(error, values.NotOneOf) else ()
        nearest = _nearest(str(item.value).lower(), choices) if choices else None
        raise ConfigError(
            f"setting {item.name} = {_given_value(item)} ({item.source}): {error}{_did_you_mean(nearest)}",
            setting=item.name,
            value=_given_value(item),
            source=item.source,
            nearest=nearest,
        ) from error
    if item.name == "key_file":
        return os.path.join(item.folder, value)
    return value


def _unknown(item: Given) -> ConfigError:
    from taskmesh.config.elsewhere import replacement

    replaced_by = replacement(item.name)
    nearest = None if replaced_by else _nearest(item.name.lower(), SETTINGS)
    if replaced_by:
        text = f"is a setting of Celery and means nothing here: {replaced_by}"
    else:
        text = "is unknown" + (
            _did_you_mean(_as_written(nearest, item)) or "; `taskmesh config` lists them all"
        )
    return ConfigError(
        f"setting {item.name} = {_given_value(item)} ({item.source}) {text}",
        setting=item.name,
        value=_given_value(item),
        source=item.source,
        nearest=nearest,
    )


def _nearest(word: str, choices: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    by_lower = {choice.lower(): choice for choice in choices}
    found = get_close_matches(word, by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def _as_written(name: str | None, item: Given) -> str | None:
    return VARIABLE_PREFIX + name.upper() if name and item.rank == 1 else name


def _did_you_mean(word: str | None) -> str:
    return f"; did you mean {word}?" if word else ""


def _given_value(item: Given) -> str:
    """Return a value for an error message: not endless, and no secret, even under a misspelled name."""
    if item.name in _SECRETS or (item.name not in SETTINGS and is_secret_name(item.name)):
        return "(not shown)"
    try:
        text = repr(_fit_to_show(item.name, item.value))
    except Exception:  # noqa: BLE001 - a list that holds itself, a number of 5000 digits, code of the caller
        return f"a {type(item.value).__name__} that cannot be shown"
    return text if len(text) <= 200 else text[:200] + "..."


def _fit_to_show(name: str, value: Any) -> Any:
    if name in _SECRETS:
        return None if value is None else "set"
    if isinstance(value, str) and (name == "broker" or "://" in value or "@" in value):
        from taskmesh.config.brokers import broker_shown

        return broker_shown(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_fit_to_show(name, part) for part in value)
    return value
