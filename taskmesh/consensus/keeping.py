"""How the server of an acceptor keeps what it was told, and what of that is unsafe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from taskmesh.core.steps import OUT, Call, GroupSteps, Round

_ASKED = (b"appendfsync", b"no-appendfsync-on-rewrite", b"aof-load-truncated")


class Kept(IntEnum):
    """What the memory of an acceptor survives; each also what those before it do."""

    NOTHING = 0
    PROCESS = 1
    POWER = 2


class Unsafe(NamedTuple):
    """Something by which an acceptor may forget.

    Attributes:
        text: What, for people.
        remedy: What to type on that server, or to do.
        kept: What it leaves of the memory; `Kept.POWER` if it only makes other faults worse.
        is_of_power: Whether nothing is forgotten by it while the machine goes on.
    """

    text: str
    remedy: str
    kept: Kept
    is_of_power: bool = False


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a server tells of how it keeps its data.

    Attributes:
        product: `valkey` or `redis`, and its version.
        is_replica: Whether it follows another server.
        replicas: How many follow it.
        append_only: Whether each write goes to a file before it is answered.
        append_failed: Whether the last such write failed.
        fsync: `no`, `everysec`, `always`; None if it does not tell.
        pauses: Whether it does not flush while it rewrites that file; None if it does not tell.
        load_truncated: Whether it starts from a file that is cut short; None if it does not tell.
        policy: What it does when its memory is full.
        is_limited: Whether it may become so before its machine's is.
    """

    product: str
    is_replica: bool
    replicas: int
    append_only: bool
    append_failed: bool
    fsync: str | None
    pauses: bool | None
    load_truncated: bool | None
    policy: str
    is_limited: bool = False

    @property
    def kept(self) -> Kept:
        """What its memory survives."""
        return min((each.kept for each in self.unsafe), default=Kept.POWER)

    @property
    def unsafe(self) -> list[Unsafe]:
        """All by which it may forget."""
        found = [*self._of_file(), *self._of_server()]
        if self.fsync is None or self.pauses is None:
            found.append(
                Unsafe(
                    "it does not tell how it keeps its data (CONFIG GET is forbidden)",
                    "let this user of it run CONFIG GET",
                    Kept.NOTHING,
                )
            )
        return found

    @property
    def refused(self) -> Unsafe | None:
        """Why it must not become an acceptor: it would forget while it runs, which nobody notices; None if it may."""
        found = [self._replica()] if self.is_replica else []
        if self._evicts and self.is_limited:
            found.append(self._evicting())
        return found[0] if found else None

    @property
    def _evicts(self) -> bool:
        # what an acceptor holds never expires: the policies that throw away what does, leave it alone
        return self.policy.startswith("allkeys")

    def _replica(self) -> Unsafe:
        return Unsafe(
            "it is a replica of another server", "give the primary, or REPLICAOF NO ONE", Kept.NOTHING
        )

    def _evicting(self) -> Unsafe:
        return Unsafe(
            f"maxmemory-policy {self.policy}: when full, it throws away what it promised",
            "CONFIG SET maxmemory-policy noeviction",
            Kept.NOTHING,
        )

    def _of_file(self) -> list[Unsafe]:
        if not self.append_only:
            return [Unsafe("appendonly no", "CONFIG SET appendonly yes", Kept.NOTHING)]
        found = []
        if self.append_failed:
            found.append(Unsafe("the last write to its file failed", "make room on its disk", Kept.NOTHING))
        if self.fsync == "everysec":
            # while it flushes in the background, a reply may precede the write
            found.append(Unsafe("appendfsync everysec", "CONFIG SET appendfsync always", Kept.NOTHING))
        elif self.fsync == "no":
            found.append(
                Unsafe("appendfsync no", "CONFIG SET appendfsync always", Kept.PROCESS, is_of_power=True)
            )
        if self.pauses:
            found.append(
                Unsafe(
                    "no-appendfsync-on-rewrite yes",
                    "CONFIG SET no-appendfsync-on-rewrite no",
                    Kept.PROCESS,
                    is_of_power=True,
                )
            )
        if self.load_truncated:
            remedy = "CONFIG SET aof-load-truncated no"
            found.append(Unsafe("aof-load-truncated yes", remedy, Kept.POWER, is_of_power=True))
        return found

    def _of_server(self) -> list[Unsafe]:
        found = []
        if self.is_replica:
            found.append(self._replica())
        if self.replicas:
            found.append(
                Unsafe(
                    f"{self.replicas} replicas follow it, and none of them may ever take its place",
                    "REPLICAOF NO ONE on them",
                    Kept.POWER,
                )
            )
        if self._evicts:
            found.append(self._evicting())
        return found

    def in_words(self) -> str:
        """Say in a few words how it keeps its data."""
        if not self.append_only:
            return "nothing kept"
        return f"append-only file, fsync {self.fsync or 'unknown'}"


def keeping_of(info: Mapping[str, str], asked: Mapping[str, str]) -> Keeping:
    """Return what the answers to `INFO` and `CONFIG GET` say."""

    def is_yes(name: str) -> bool | None:
        return asked[name] == "yes" if name in asked else None

    product = "valkey" if "valkey_version" in info else "redis"
    return Keeping(
        product=f"{product} {info.get('valkey_version', info.get('redis_version', '?'))}",
        is_replica=info.get("role") == "slave",
        replicas=int(info.get("connected_slaves", 0)),
        append_only=info.get("aof_enabled") == "1",
        append_failed=info.get("aof_last_write_status", "ok") != "ok",
        fsync=asked.get("appendfsync"),
        pauses=is_yes("no-appendfsync-on-rewrite"),
        load_truncated=is_yes("aof-load-truncated"),
        policy=info.get("maxmemory_policy", ""),
        is_limited=info.get("maxmemory", "0") != "0",
    )


def read_keeping(addresses: Sequence[str]) -> GroupSteps[dict[str, Keeping]]:
    """Ask servers how they keep their data; those that do not answer, or may not be asked, are left out."""

    def ask(*words: bytes) -> Round:
        return Round(
            [Call(None, b"", words, node=address) for address in addresses],
            lambda replies: OUT not in replies,
        )

    infos = yield ask(b"INFO")
    configs = yield ask(b"CONFIG", b"GET", *_ASKED)
    found = {}
    for address, info, config in zip(addresses, infos, configs, strict=True):
        if isinstance(info, bytes):
            words = config if isinstance(config, list) else []
            asked = {words[at].decode(): words[at + 1].decode() for at in range(0, len(words), 2)}
            found[address] = keeping_of(_read_info(info), asked)
    return found


def _read_info(raw: bytes) -> dict[str, str]:
    lines = raw.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and line[0] != "#")
