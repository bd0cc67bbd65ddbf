"""How a worker was asked to run, in a form that travels between its processes."""

from __future__ import annotations

from typing import Any

import msgspec

from taskmesh.config.strategies import DEFAULT
from taskmesh.core.keys import BY_TICKET
from taskmesh.core.limits import Limits, check_limits
from taskmesh.worker.pools import PROCESS, Pool, settled, sized


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line, a configuration file or `mesh.workers()` asked for.

    Attributes:
        app: `module:attribute` of the app; empty for a worker of by-value tasks only.
        mesh: Name of the mesh, when there is no app.
        settings: That mesh's, as they were given in code; its node and its keys stand in the environment.
        path: Folders put in front of `sys.path` before the app is imported.
        include: Modules with tasks, imported after it, beside those of the setting.
        concurrency: How many tasks at once, for the pool that does not say so itself; 0 for what suits its kind.
        pools: How tasks run side by side; none for processes.
        queues: Which queues, best first; empty for the mesh's default queue.
        weights: Of the queues; empty where none was given.
        strategy: Name of the balancing strategy; empty for `weighted` where there are weights, else the setting.
        name: Name shown to people; made of host and pid if empty.
        log_level: Of the root logger, unless the app sets up logging itself; empty for the setting.
        log_format: `text` or `json`; empty for the setting.
        burst: Stop when the queues are empty.
        grace_s: How long running tasks may go on after the first signal; negative for the setting.
        soft_time_limit_s: Of tasks that have none of their own; negative for the setting.
        time_limit_s: The same, of the hard limit.
        start_method: `fork`, `spawn`, or empty to fork where that is safe.
        max_tasks_per_child: A child is replaced after so many tasks; 0 for the setting.
        max_memory_per_child: And with so much private memory, in bytes; 0 for the setting.
        children_max: How many children there may come to be; 0 for as many as `concurrency` says, at all times.
        children_min: How many there are at least, where they may become more.
        idle_s: A child that idles for so long is dismissed, if there are more than the least.
        reload: Import the app again when its sources change.
        reload_dirs: Folders whose Python files count as sources, too.
        nodes_per_worker: From how many nodes its children claim at most; 0 for the setting.
        has_broker: Whether the variable `TASKMESH_BROKER` counts before what the app says: an address holds a password,
            and a command line can be read by everybody.
        scheduler: Whether the worker stands for leader, and so may come to fire schedules.
        probes: Where probes and metrics are served, as the setting says it; empty for nowhere, None for the setting.
        parent: Process id of the one who started the supervisor, if the worker is to stop when that one ends.
    """

    app: str = ""
    mesh: str = ""
    settings: dict[str, Any] = {}
    path: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    concurrency: int = 0
    pools: tuple[Pool, ...] = ()
    queues: tuple[str, ...] = ()
    weights: dict[str, int] = {}
    strategy: str = ""
    name: str = ""
    log_level: str = ""
    log_format: str = ""
    burst: bool = False
    grace_s: float = -1.0
    soft_time_limit_s: float = -1.0
    time_limit_s: float = -1.0
    start_method: str = ""
    max_tasks_per_child: int = 0
    max_memory_per_child: int = 0
    children_max: int = 0
    children_min: int = 1
    idle_s: float = 10.0
    reload: bool = False
    reload_dirs: tuple[str, ...] = ()
    nodes_per_worker: int = 0
    has_broker: bool = False
    scheduler: bool = True
    probes: str | None = None
    parent: int = 0


class MeshFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the template tells the supervisor of the app that it imported.

    Attributes:
        mesh: Name of the mesh.
        urls: Its nodes.
        embedded: Whether those are the shared embedded ones.
        durability: What was asked of that node; empty for nothing.
        asked_of_servers: What servers of the user's own are to survive.
        keyring: The keys, as the text of a key file. Travels only between a worker's own processes.
        tasks: Names of the app's tasks.
        task_queues: Where the messages of each go, unless a call says otherwise.
        build: What this build can run, as a hash.
        default_queue: Of the settings.
        concurrency: Of the settings.
        strategy: Name of the balancing strategy, from the options or the settings.
        slots: Of the settings.
        lease_ttl_s: Of the settings.
        grace_s: Of the settings.
        startup_timeout_s: Of the settings.
        soft_time_limit_s: Of the settings.
        time_limit_s: Of the settings.
        max_crashes: Of the settings.
        dead_expires_s: Of the settings.
        log_level: Of the settings.
        log_format: Of the settings.
        max_tasks_per_child: Of the settings.
        max_memory_per_child: Of the settings.
        nodes_per_worker: Of the settings.
        has_worker_hooks: Whether the template has something to do when the worker stops.
        threads: Names of threads that the app's import started: forking would be unsafe.
        place: File of the app.
        sources: Files that the import has touched, if the worker is to reload.
        schedules: What the app's code says of schedules, packed.
        acceptors: Of the settings.
        replicas: Of the settings.
        broker: Of the settings; empty for none. Travels only between a worker's own processes.
        probes: Of the settings; empty for nowhere.
    """

    mesh: str
    urls: tuple[str, ...]
    embedded: bool
    durability: str
    asked_of_servers: str
    keyring: str
    tasks: tuple[str, ...]
    task_queues: tuple[str, ...]
    build: str
    default_queue: str
    concurrency: int
    strategy: str
    slots: int
    lease_ttl_s: float
    grace_s: float
    startup_timeout_s: float
    soft_time_limit_s: float
    time_limit_s: float
    max_crashes: int
    dead_expires_s: int
    log_level: str
    max_tasks_per_child: int
    max_memory_per_child: int
    nodes_per_worker: int
    has_worker_hooks: bool
    threads: tuple[str, ...]
    place: str
    sources: tuple[str, ...] = ()
    schedules: tuple[bytes, ...] = ()
    acceptors: tuple[str, ...] = ()
    replicas: int | None = None
    broker: str = ""
    probes: str = ""
    log_format: str = "text"


def limits_for(options: WorkerOptions, facts: MeshFacts) -> Limits:
    """Return the limits of tasks that have none of their own.

    Raises:
        UsageError: They contradict each other.
    """
    limits = Limits(
        options.soft_time_limit_s if options.soft_time_limit_s >= 0 else facts.soft_time_limit_s,
        options.time_limit_s if options.time_limit_s >= 0 else facts.time_limit_s,
    )
    check_limits(limits.soft_s, limits.hard_s)
    return limits


def pools_for(options: WorkerOptions, facts: MeshFacts) -> tuple[Pool, ...]:
    """Return the pools of a worker, each with its size and its queues.

    Raises:
        UsageError: A size is impossible, or no pool serves one of the queues.
    """
    return settled(
        sized(options.pools, options.children_max or options.concurrency),
        options.queues,
        default_queue=facts.default_queue,
        processes=facts.concurrency,
    )


class ChildOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is told when it starts.

    Attributes:
        incarnation: 16 hex characters of the supervisor's life.
        number: Of this child, never used again in that life; from `MANY_AT_ONCE` if it runs many messages at once, and
            with `BY_TICKET` if tickets of a broker wake it.
        place: Its place in the shared page.
        worker: Name of the worker.
        queues: Which queues, best first.
        burst: Stop when they are empty.
        max_tasks: It retires after so many; 0 for never.
        max_memory: It retires with so much private memory, in bytes; 0 for never.
        strategy: Name of the balancing strategy.
        weights: Of the queues; 1 where it has none.
        pool: Of which kind of pool it is.
        slots: How many messages it may run at once.
        nodes: From how many nodes it claims at most; 0 for what suits.
        soft_time_limit_s: Of tasks that have none of their own; 0 for none.
        time_limit_s: The same, of the hard limit.
        members: Where the nodes of the mesh are, as the supervisor knows it; none where there is but one.
        sheet_at: Where in the page it counts; 0 if it does not.
    """

    incarnation: str
    number: int
    place: int
    worker: str
    queues: tuple[str, ...]
    burst: bool
    max_tasks: int = 0
    max_memory: int = 0
    strategy: str = DEFAULT
    weights: dict[str, int] = {}
    pool: str = PROCESS
    slots: int = 1
    nodes: int = 0
    soft_time_limit_s: float = 0.0
    time_limit_s: float = 0.0
    members: tuple[str, ...] = ()
    sheet_at: int = 0

    @property
    def limits(self) -> Limits:
        """Limits of tasks that have none of their own."""
        return Limits(self.soft_time_limit_s, self.time_limit_s)

    @property
    def shown(self) -> int:
        """The number as people are told it."""
        return self.number % BY_TICKET

    @property
    def is_by_ticket(self) -> bool:
        """Whether tickets of a broker wake it, and not the node."""
        return bool(self.number & BY_TICKET)

    @property
    def holder(self) -> bytes:
        """How the scripts know the child: incarnation (16) and number (6), hex."""
        return f"{self.incarnation}{self.number:06x}".encode()


#: The supervisor has other things to do: it asks a node that does not answer again with its next round.
SUPERVISOR_PATIENCE_S = 1.0

#: Exit codes of a child, read by the supervisor.
EXIT_OK = 0
EXIT_BURST_DONE = 70
EXIT_DECLARED_DEAD = 71
EXIT_CANNOT_START = 72
EXIT_RETIRED = 73
EXIT_HOOK_FAILED = 74
