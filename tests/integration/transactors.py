"""Processes that are killed while they make transactions, and what must hold afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from taskmesh import TaskMesh
from taskmesh.consensus.listing import names
from taskmesh.coordination.transaction import COMMITTED, read_transaction
from taskmesh.results.read import read
from taskmesh.scheduler.transactions import Transactions
from tests.apps.transactor import MESSAGES
from tests.support import wait_until


def kill_many(
    mesh: TaskMesh, urls: Sequence[str], key: str, count: int, seed: int, when: str = "anywhere"
) -> dict[int, bool]:
    """Have children killed `anywhere`, or when all is `decided`; return which of them were heard to be done."""
    command = [sys.executable, "-W", "error", "-m", "tests.apps.transactor"]
    told = subprocess.run(
        [*command, mesh.name, json.dumps(list(urls)), key, str(count), str(seed), when],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path.cwd(),
    ).stdout
    return dict(json.loads(line) for line in told.splitlines())


def open_ones(mesh: TaskMesh) -> list[str]:
    """Return transactions that are decided and not done."""
    agreement = mesh.agreement
    registers = agreement.registers
    roots = [name for name in agreement.run(names(registers, "tx/")) if name.count("/") == 1]
    found = agreement.run(registers.read_many(roots))
    states = {name: read_transaction(found[name]) for name in roots}
    return [name for name, state in states.items() if state is not None and state.phase == COMMITTED]


def finish(mesh: TaskMesh) -> None:
    """Have a leader look until nothing is left to be done."""
    leader = Transactions(mesh.agreement.another(), lambda: True)

    def is_done() -> bool:
        leader.look()
        return not open_ones(mesh)

    wait_until(is_done, what="all that was decided is done")
    leader._agreement.close()


def is_done(mesh: TaskMesh, number: int) -> bool:
    """Tell whether all of a transaction is done; fails if only some of it is."""
    ids = [f"t-{number}-{at}" for at in range(MESSAGES)]
    records = mesh.link.run(read(mesh.link.session, ids, patience_s=30.0))
    files = [mesh.files.read(f"{name}/{number}") for name in ("a", "b")]
    there = {each is not None for each in (*records, *files)}
    assert len(there) == 1, (number, records, files)
    (done,) = there
    if done:
        assert {file.generation for file in files if file is not None} == {1}
        assert f"lock-{number}" not in {status.name for status in mesh.lock_statuses()}
    return done


def check(mesh: TaskMesh, heard: dict[int, bool]) -> None:
    """See that of each transaction all is done or nothing, and all where that was heard."""
    finish(mesh)
    done = {number for number in heard if is_done(mesh, number)}
    was_heard = {number for number, each in heard.items() if each}
    assert done >= was_heard
    # the first two were not to be killed
    assert was_heard >= {0, 1}
    assert was_heard < heard.keys()
