"""Checks of the node: reachable, a server that serves, kept as `durability` says, room left, its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from taskmesh.app import TaskMesh
from taskmesh.cli.doctor.finding import Finding, fail, ok, warn
from taskmesh.cli.node_remedy import remedy
from taskmesh.cli.output import as_size
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.nodes import embedded
from taskmesh.nodes.embedded import Running
from taskmesh.nodes.embedded_files import NodePaths, is_locked
from taskmesh.nodes.embedded_several import places_of
from taskmesh.nodes.node_facts import NodeFacts, read_facts
from taskmesh.nodes.server_binary import OLDEST
from taskmesh.nodes.sync_driver import ANEW, WHO_ADMITS
from taskmesh.replication.ask import plain

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link

CLOCK_OFFSET_S = 1.0
FULL_WARN = 0.8
FULL_FAIL = 0.95


def check_embedded(mesh: TaskMesh) -> tuple[list[Finding], bool]:
    """Look at the embedded nodes of a mesh without starting them; return also whether any runs."""
    running = {node.socket_path: node for node in embedded.running() if node.mesh == mesh.name}
    found = [_check_embedded(mesh, paths, running.get(paths.socket)) for paths in places_of(mesh.name)]
    return found, bool(running)


def _check_embedded(mesh: TaskMesh, paths: NodePaths, node: Running | None) -> Finding:
    if node is not None:
        return ok("embedded node", f"runs, generation {node.generation}, {paths.socket}")
    if is_locked(paths.guardian_lock):
        return fail(
            "embedded node",
            f"its guardian runs and its server does not answer, see {paths.server_log}",
            remedy(mesh, f"unix://{paths.socket}"),
        )
    if Path(paths.socket).exists():
        return warn(
            "embedded node",
            f"does not run; {paths.socket} is stale, left by a server that was killed",
            "nothing: whoever uses the mesh next replaces it",
        )
    text = "does not run; starts at first use"
    if Path(paths.generation).exists():
        text += f", with the data in {paths.data}"
    return ok("embedded node", text)


def check_reachable(mesh: TaskMesh, link: Link) -> tuple[list[Finding], NodeFacts | None]:
    """Connect to a node; return also what it tells of itself."""
    try:
        link.driver.run(plain(link.session, b"PING"))  # connects
        begun_s = time.monotonic()
        link.driver.run(plain(link.session, b"PING"))
        took_ms = (time.monotonic() - begun_s) * 1000
        facts = link.driver.run(read_facts(link.session))
    except NodeUnavailable as error:
        waits = check_admitted(str(error))
        return [waits or fail("node", str(error), remedy(mesh, link.driver.address.url))], None
    except NodeFault as error:
        return [fail("node", f"{link.driver.address} refuses: {error}", advice_on(str(error)))], None
    return [ok("node", f"{link.driver.address} answers in {took_ms:.1f} ms")], facts


def check_admitted(why: str) -> Finding | None:
    """Return what is to be said of a node that answers and waits to be admitted; None of any other.

    Args:
        why: It cannot be used.
    """
    if ANEW not in why:
        return None
    return fail("node", why.replace(f"; {WHO_ADMITS}", ""), WHO_ADMITS)


def advice_on(refusal: str) -> str:
    """Return what to do about a node that answers with an error."""
    if any(word in refusal for word in ("NOAUTH", "WRONGPASS", "NOPERM")):
        return "give user and password in its address"
    if "MISCONF" in refusal:
        return "its disk is full or cannot be written: make room there; its log says more"
    return "look at the log of the node"


def check_server(facts: NodeFacts) -> Iterator[Finding]:
    """Look at what kind of server it is."""
    text = f"{facts.product} {facts.version}"
    oldest = OLDEST[facts.product]
    if facts.mode != "standalone":
        yield fail(
            "server",
            f"{text} in {facts.mode} mode",
            "give a plain server: scripts build names of keys, which a cluster forbids",
        )
    elif facts.release < oldest:
        yield fail("server", f"{text} is too old", f"use {facts.product} {oldest[0]}.{oldest[1]} or newer")
    elif facts.role == "slave":
        yield fail(
            "server",
            f"{text} is a replica of another server, and takes no writes",
            "give the primary in nodes=",
        )
    else:
        yield ok("server", text)


def check_persistence(mesh: TaskMesh, facts: NodeFacts) -> Iterator[Finding]:
    """Compare how the node keeps its data with what the mesh promises."""
    durability = mesh.settings.durability
    text = f"durability={durability}: {facts.persistence}"
    if facts.append_failed:
        yield fail(
            "persistence", f"{text}; the last write to the file failed", "look at the disk of the node"
        )
    elif durability == "memory":
        yield warn(
            "persistence",
            f"{text}; by this setting the death of the node may lose everything",
            "durability=process",
        )
    elif not facts.append_only:
        yield fail(
            "persistence", f"{text}; a node that dies loses messages", "appendonly yes, appendfsync no"
        )
    elif durability == "disk":
        yield from _check_disk(mesh, facts, text)
    elif facts.fsync == "everysec":
        yield warn(
            "persistence",
            f"{text}; while it flushes, a reply may precede the write",
            "appendfsync no (survives the death of processes) or always (survives power loss)",
        )
    else:
        yield ok("persistence", text)


def _check_disk(mesh: TaskMesh, facts: NodeFacts, text: str) -> Iterator[Finding]:
    if facts.fsync is None or facts.load_truncated is None:
        yield warn(
            "persistence",
            f"{text}; the node does not tell",
            "see that it has appendfsync always, aof-load-truncated no",
        )
    elif facts.fsync != "always" or facts.load_truncated:
        own = "appendfsync always, aof-load-truncated no"
        remedy = (
            own
            if mesh.settings.nodes
            else f"the embedded node is `process`; give a node of its own, with {own}"
        )
        yield fail("persistence", f"{text}; a power loss may lose messages", remedy)
    else:
        yield ok("persistence", text)


def check_memory(facts: NodeFacts) -> Iterator[Finding]:
    """Look at the memory limit, how much is left, and what happens when it is reached."""
    if not facts.memory_limit:
        yield warn(
            "memory",
            f"{as_size(facts.memory_used)} used, no limit: when memory runs out, the system kills the node",
            "maxmemory, about half of its machine's memory",
        )
    else:
        share = facts.memory_used / facts.memory_limit
        text = f"{as_size(facts.memory_used)} of {as_size(facts.memory_limit)} used"
        if share >= FULL_FAIL:
            yield fail(
                "memory", f"{text}: sends are refused", "more workers, a shorter result_expires, more memory"
            )
        elif share >= FULL_WARN:
            yield warn("memory", text, "more workers, a shorter result_expires, more memory")
        else:
            yield ok("memory", text)
    if facts.policy == "noeviction":
        yield ok("eviction", "noeviction")
    elif facts.memory_limit:
        yield fail(
            "eviction",
            f"{facts.policy}: when full, the node throws messages away",
            "maxmemory-policy noeviction",
        )
    else:
        yield warn(
            "eviction",
            f"{facts.policy}, without effect while there is no limit",
            "maxmemory-policy noeviction",
        )


def check_clock(link: Link) -> Iterator[Finding]:
    """Compare a node's clock with this machine's."""
    before_s = time.time()
    seconds, micros = link.driver.run(plain(link.session, b"TIME"))
    offset_s = int(seconds) + int(micros) / 1e6 - (before_s + time.time()) / 2
    if abs(offset_s) < CLOCK_OFFSET_S:
        yield ok("clock", f"the node's differs from this machine's by {offset_s:+.3f} s")
    else:
        yield warn(
            "clock",
            f"the node's differs from this machine's by {offset_s:+.1f} s; times that are shown are the node's",
            "synchronise both (chrony, ntpd)",
        )
