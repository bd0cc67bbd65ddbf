"""Whether a server may become a node of a mesh of several: what speaks against it, each with what to do."""

from __future__ import annotations

from collections.abc import Iterator

from taskmesh.nodes.node_facts import NodeFacts
from taskmesh.nodes.server_binary import OLDEST
from taskmesh.replication.founding import Stand

#: By how much its clock may differ from that of the others, in seconds.
CLOCK_OFFSET_S = 1.0


def offset_s(time_s: float, asked_s: float, told_s: float) -> float:
    """Return by how much a server's clock is ahead of ours for sure, in seconds.

    Args:
        time_s: What it told.
        asked_s: Our clock before that was asked.
        told_s: Our clock after it was heard; long after, if this process stood still meanwhile.
    """
    return time_s - min(max(time_s, asked_s), told_s)


def why_unfit(facts: NodeFacts, stand: Stand | None, offset_s: float, durability: str) -> list[str]:
    """Return why a server cannot become a node; nothing if it can.

    Args:
        facts: What it tells of itself.
        stand: What it is already, and no member of this mesh; None where that is looked at elsewhere.
        offset_s: By how much its clock is ahead of the mesh's, in seconds.
        durability: What the data of the mesh is to survive.
    """
    found = [*_kind(facts), *_keeping(facts, durability)]
    if facts.policy != "noeviction":
        found.append(f"maxmemory-policy {facts.policy}: when full it throws messages away; set noeviction")
    if abs(offset_s) > CLOCK_OFFSET_S:
        found.append(f"its clock differs from the mesh's by {offset_s:+.1f} s; synchronise it (chrony, ntpd)")
    if stand is not None and (stand.instance or stand.mesh_id):
        what = "was a node of it" if stand.id else "holds it by itself"
        found.append(
            f"it has data of another mesh of this name: it {what}; give an empty server, or empty this one (FLUSHALL)"
        )
    return found


def _kind(facts: NodeFacts) -> Iterator[str]:
    oldest = OLDEST[facts.product]
    if facts.mode != "standalone":
        yield f"it runs in {facts.mode} mode; give a plain server"
    if facts.release < oldest:
        yield f"{facts.product} {facts.version} is too old; use {oldest[0]}.{oldest[1]} or newer"
    if facts.role == "slave":
        yield "it is a replica of another server, and takes no writes; give a server of its own"


def _keeping(facts: NodeFacts, durability: str) -> Iterator[str]:
    """Say what is unsafe in how it keeps its data."""
    if durability == "memory":
        return
    if facts.append_failed:
        yield "the last write to its file failed; look at its disk"
    if not facts.append_only:
        yield f"it keeps its data by {facts.persistence}: what it accepted dies with it; set appendonly yes"
    elif durability == "disk" and (facts.fsync != "always" or facts.load_truncated):
        yield "a power loss may lose messages; set appendfsync always and aof-load-truncated no"
    elif facts.fsync == "everysec":
        yield (
            "appendfsync everysec: a reply may precede the write; set no (survives the death of processes) or always"
        )
