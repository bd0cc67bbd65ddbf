"""What `TaskMesh(name, ...)` takes, for type checkers and editors; loaded by nothing at run time.

Each may be given in every form that `values` reads: seconds as a number, a `timedelta` or `"1h30m"`, sizes
as bytes or `"16MiB"`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, TypeAlias, TypedDict

Duration: TypeAlias = float | timedelta | str
Size: TypeAlias = int | str


class SettingArguments(TypedDict, total=False):
    """Every setting as an argument; `Settings` says what each means. None is as good as not given."""

    nodes: Sequence[str] | None
    acceptors: Sequence[str] | None
    broker: str | Sequence[str] | None
    replicas: int | None
    embedded: Literal["shared", "private"] | None
    embedded_nodes: int | None
    durability: Literal["process", "disk", "memory"] | None
    key: str | bytes | None
    key_file: str | os.PathLike[str] | None
    default_queue: str | None
    routes: Mapping[str, str] | None
    result_expires: Duration | None
    dead_letter_expires: Duration | None
    max_message_size: Size | None
    max_result_size: Size | None
    compress_over: Size | None
    max_crashes: int | None
    lease_ttl: Duration | None
    send_timeout: Duration | None
    connect_timeout: Duration | None
    unknown_task_grace: Duration | None
    eager: bool | None
    allow_tasks: Sequence[str] | None
    allow_by_value: bool | None
    slots: int | None
    include: Sequence[str] | None
    app: str | None
    startup_timeout: Duration | None
    grace: Duration | None
    soft_time_limit: Duration | None
    time_limit: Duration | None
    concurrency: int | None
    max_tasks_per_child: int | None
    max_memory_per_child: Size | None
    nodes_per_worker: int | None
    strategy: str | None
    log_level: str | None
    log_format: Literal["text", "json"] | None
    log_arguments: bool | None
    configure_logging: bool | None
    probes: str | int | None
