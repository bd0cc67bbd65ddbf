"""Checks of the mesh: its keys, its workers, what waits and what was given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from taskmesh.app import TaskMesh
from taskmesh.cli.broker_list import brokers_of
from taskmesh.cli.candidate_list import candidates_of, in_words
from taskmesh.cli.doctor.broker import check_heard
from taskmesh.cli.doctor.finding import Finding, fail, ok, warn
from taskmesh.cli.doctor.hanging import check_hanging
from taskmesh.cli.doctor.parked import check_parked
from taskmesh.cli.target import Target
from taskmesh.cli.worker_list import WorkerFacts, clash, serving, strangers, workers_of
from taskmesh.client.inspect import Inspection
from taskmesh.codec.keyring import Keyring
from taskmesh.core import keys
from taskmesh.nodes.look import Look
from taskmesh.queue.inspect import begun
from taskmesh.queue.manage import Status
from taskmesh.queue.manage import status as count
from taskmesh.replication.ask import plain
from taskmesh.replication.join import FORMAT
from taskmesh.worker.undertaker import Undertaker

if TYPE_CHECKING:
    from taskmesh.coordination.candidates import CandidateSeen
    from taskmesh.nodes.link import Link

#: How long the children of a worker may take to begin.
BEGIN_S = 5.0


def check_meta(mesh: TaskMesh, keyring: Keyring, link: Link) -> tuple[list[Finding], bool]:
    """Look at what the mesh was made with, without making it; return also whether it can be used.

    Args:
        mesh: Which.
        keyring: The keys of this process.
        link: To a node that answers.
    """
    raw = link.driver.run(plain(link.session, b"HMGET", keys.meta(link.prefix), b"format", b"keys", b"slots"))
    if raw[0] is None:
        return [ok("mesh", f"{mesh.name} does not exist yet: made at first use")], False
    if int(raw[0]) > FORMAT:
        return [
            fail(
                "mesh",
                f"{mesh.name} is of format {int(raw[0])}; this TaskMesh knows up to {FORMAT}",
                "upgrade TaskMesh",
            )
        ], False
    accepted = raw[1].decode().split(",")
    own = keyring.active.name
    if own not in accepted:
        return [
            fail(
                "key accepted",
                f"mesh {mesh.name} accepts {', '.join(accepted)}; this process signs with {own}",
                "give it the mesh's key (TASKMESH_KEY_FILE), or rotate: `taskmesh key rotate --help`",
            )
        ], False
    lacking = [name for name in accepted if name not in keyring.ids()]
    if lacking:
        return [
            warn(
                "key accepted",
                f"{own} is; the mesh also accepts {', '.join(lacking)}, which this process does not hold",
                "copy the key file of the machine that rotated",
            )
        ], True
    return [ok("key accepted", f"{own}, of {', '.join(accepted)}")], True


def check_state(mesh: TaskMesh, target: Target) -> Iterator[Finding]:
    """Look at workers, queues, parked messages and dead letters."""

    def command(queue: str = "") -> str:
        return target.worker_command(mesh.name, queue)

    look = Look(mesh.link)
    counted = look.run(count(mesh.link.session))
    workers = workers_of(counted)
    undertaker = Undertaker(
        mesh.link,
        b"",
        "doctor",
        max_crashes=mesh.settings.max_crashes,
        dead_expires_s=int(mesh.settings.dead_letter_expires),
    )  # only asked, never acts
    gone = [
        worker
        for worker in workers
        if worker.state == "live" and undertaker.is_gone_from_this_host(worker.incarnation.encode())
    ]
    now_ms = mesh.link.clock.now_ms()
    without = [
        worker
        for worker in workers
        if worker.state == "live"
        and now_ms - worker.since_ms > BEGIN_S * 1000
        and not look.run(begun(mesh.link.session, worker.incarnation.encode()))
    ]
    yield from check_workers(workers, gone, command(), without)
    yield from check_stand_by(candidates_of(counted, now_ms), has_several=mesh.link.several is not None)
    yield from check_builds(workers)
    brokers = brokers_of(Inspection(mesh.link, look=look).workers(), now_ms)
    yield from check_heard(brokers, is_named=bool(mesh.settings.broker))
    yield from check_queues(counted, workers, command)
    yield from check_hanging(mesh, look, counted, [worker for worker in workers if worker not in gone])
    yield from check_parked(mesh, counted, workers)
    yield from check_dead_letters(counted)


def check_stand_by(standing: Sequence[CandidateSeen], *, has_several: bool) -> Iterator[Finding]:
    """Look whether somebody would take over from the leader.

    Args:
        standing: Who stands for leader.
        has_several: Whether the mesh has several nodes: without a leader none that is lost is done without.
    """
    if len(standing) == 1 and has_several:
        yield warn(
            "schedulers",
            f"{in_words(standing)}: when it ends, schedules do not fire and no fail-over happens until another runs",
            "start a second worker or `taskmesh scheduler`, on another machine",
        )
    elif standing:
        yield ok("schedulers", in_words(standing))


def check_workers(
    workers: Sequence[WorkerFacts],
    gone: Sequence[WorkerFacts],
    command: str,
    without: Sequence[WorkerFacts] = (),
) -> Iterator[Finding]:
    """Look who is there.

    Args:
        workers: As they are listed.
        gone: Those of this machine whose process does not exist any more.
        command: What starts one.
        without: Those of whose children none has begun.
    """
    idle = [worker for worker in without if worker not in gone]
    for worker in idle:
        yield warn(
            "workers",
            f"{worker.name} is live, and no child of it has begun",
            "read its log: a hook (on_child_start) may fail, or wait",
        )
    for worker in gone:
        yield warn(
            "workers",
            f"{worker.name} (process {worker.pid} of this machine) is gone, and is listed as live",
            "start a worker: it gives back at once what this one held",
        )
    for worker in workers:
        if worker.state != "live":
            yield warn(
                "workers", f"{worker.name} is dead, and still holds messages", "a live worker gives them back"
            )
    alive = [worker for worker in workers if worker.state == "live" and worker not in gone]
    if alive and all(worker in idle for worker in alive):
        return
    if alive:
        alive = [worker for worker in alive if worker not in idle]
        yield ok("workers", f"{len(alive)} live, for {sum(worker.slots for worker in alive)} tasks at once")
    else:
        yield warn("workers", "none", command)


def check_builds(workers: Sequence[WorkerFacts]) -> Iterator[Finding]:
    """Look whether all workers run the same code, and whether some run quite other code."""
    live = [worker for worker in workers if worker.state == "live"]
    clashes = [(one, other) for at, one in enumerate(live) for other in strangers(one, live[at + 1 :])]
    for one, other in clashes:
        yield fail(
            "builds",
            clash(one, other),
            "give one of the two programs another mesh name, or queues of its own",
        )
    by_app: dict[str, set[str]] = {}
    for worker in live:
        by_app.setdefault(worker.app, set()).add(worker.build)
    mixed = [app for app, builds in by_app.items() if len(builds) > 1]
    for app in mixed:
        yield warn(
            "builds",
            f"workers of {app or 'by-value tasks'} run {len(by_app[app])} builds: {', '.join(sorted(by_app[app]))}",
            "as it should be during a deploy; afterwards restart those of the old build",
        )
    if live and not clashes and not mixed:
        yield ok("builds", "equal" if len(live) > 1 else live[0].build)


def check_queues(
    counted: Status, workers: Sequence[WorkerFacts], command: Callable[[str], str]
) -> Iterator[Finding]:
    """Look whether something waits where nobody serves, or where nothing is begun.

    Args:
        counted: How much waits.
        workers: Who is there.
        command: Returns what starts a worker for a queue.
    """
    for name in sorted(counted.paused):
        yield warn(
            "queues",
            f"{name} is paused, and {counted.queues.get(name, 0):,} wait in it",
            f"taskmesh queue resume {name}",
        )
    unserved = {name: ready for name, ready in counted.queues.items() if ready and not serving(workers, name)}
    for name, ready in sorted(unserved.items()):
        yield warn("queues", f"{ready:,} wait in {name}, and nobody serves it", command(name))
    if not unserved:
        yield ok("queues", f"{len(counted.queues)}, {sum(counted.queues.values()):,} messages ready")


def check_dead_letters(counted: Status) -> Iterator[Finding]:
    """Look at what was given up."""
    if counted.dead:
        yield warn("dead letters", f"{counted.dead:,}", "taskmesh dead list, then dead retry or dead drop")
    else:
        yield ok("dead letters", "none")
