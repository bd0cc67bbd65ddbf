"""What a node tells of itself: version, memory, persistence, uptime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from taskmesh.core.steps import Session, Steps
from taskmesh.errors import NodeFault
from taskmesh.replication.ask import plain

#: What a node is asked.
ASK_INFO = (b"INFO",)
ASK_CONFIG = (b"CONFIG", b"GET", b"appendfsync", b"save", b"aof-load-truncated")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node at one moment.

    Attributes:
        product: `valkey` or `redis`.
        version: As it says it, `9.1.2`.
        mode: `standalone`, `cluster` or `sentinel`.
        role: `master` or `slave`.
        memory_used: Bytes.
        memory_limit: Bytes; 0 for none.
        policy: What it does when the limit is reached.
        append_only: Whether each write goes to a file before it is answered.
        append_failed: Whether the last such write failed.
        fsync: `no`, `everysec`, `always`; None if it does not tell.
        load_truncated: Whether it starts from a file that is cut short; None if it does not tell.
        snapshots: Whether it saves from time to time; None if it does not tell.
        uptime_s: Seconds.
        clients: Open connections.
    """

    product: str
    version: str
    mode: str
    role: str
    memory_used: int
    memory_limit: int
    policy: str
    append_only: bool
    append_failed: bool
    fsync: str | None
    load_truncated: bool | None
    snapshots: bool | None
    uptime_s: int
    clients: int

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        major, _, rest = self.version.partition(".")
        return int(major or 0), int(rest.partition(".")[0] or 0)

    @property
    def persistence(self) -> str:
        """How it keeps its data, in words."""
        if self.append_only:
            return f"append-only file, fsync {self.fsync or 'unknown'}"
        return "snapshots from time to time" if self.snapshots else "none"

    def as_json(self) -> dict[str, Any]:
        """Return what programs may want to know."""
        return {
            "product": self.product,
            "version": self.version,
            "memory_used_bytes": self.memory_used,
            "memory_limit_bytes": self.memory_limit or None,
            "maxmemory_policy": self.policy,
            "persistence": self.persistence,
            "uptime_s": self.uptime_s,
            "clients": self.clients,
        }


def read_facts(session: Session) -> Steps[NodeFacts]:
    """Ask a node about itself.

    Raises:
        NodeUnavailable: It does not answer.
        NodeFault: It refuses `INFO`.
    """
    told = yield from plain(session, *ASK_INFO)
    try:
        words = yield from plain(session, *ASK_CONFIG)
    except NodeFault:
        words = []  # an account without the right to ask
    return facts_in(told, words)


def facts_in(told: bytes, words: Sequence[bytes]) -> NodeFacts:
    """Return the facts in the answers to `ASK_INFO` and `ASK_CONFIG` as they come; none to the latter is allowed."""
    info = dict(
        line.split(":", 1)
        for line in told.decode("utf-8", "replace").splitlines()
        if ":" in line and line[0] != "#"
    )
    return facts_of(info, {words[at].decode(): words[at + 1].decode() for at in range(0, len(words), 2)})


def facts_of(info: Mapping[str, str], asked: Mapping[str, str]) -> NodeFacts:
    """Return the facts in the answers to `INFO` and `CONFIG GET`."""
    truncated = asked.get("aof-load-truncated")
    save = asked.get("save")
    return NodeFacts(
        product="valkey" if "valkey_version" in info else "redis",
        version=info.get("valkey_version", info.get("redis_version", "0.0")),
        mode=info.get("server_mode", info.get("redis_mode", "standalone")),
        role=info.get("role", "master"),
        memory_used=int(info.get("used_memory", 0)),
        memory_limit=int(info.get("maxmemory", 0)),
        policy=info.get("maxmemory_policy", ""),
        append_only=info.get("aof_enabled") == "1",
        append_failed=info.get("aof_last_write_status", "ok") != "ok",
        fsync=asked.get("appendfsync"),
        load_truncated=None if truncated is None else truncated == "yes",
        snapshots=None if save is None else bool(save),
        uptime_s=int(info.get("uptime_in_seconds", 0)),
        clients=int(info.get("connected_clients", 0)),
    )
