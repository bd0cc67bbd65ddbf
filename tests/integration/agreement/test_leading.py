"""Whether somebody leads, as people are told."""

from __future__ import annotations

import pytest

from taskmesh import TaskMesh
from taskmesh.coordination.leader import REGISTER, Leader, pack_leader
from taskmesh.coordination.leading import FRESH_MS, leading
from taskmesh.core.steps import Pause
from tests.integration.agreement.registers import write

NOW_MS = 1_800_000_000_000


@pytest.fixture
def mesh():
    with TaskMesh("led", embedded="private") as made:
        yield made


def asked(mesh: TaskMesh, **facts: object) -> tuple[Leader, bool]:
    write(mesh, REGISTER, pack_leader(Leader(token=1, name="one", **facts)))
    return mesh.agreement.run(leading(mesh.agreement.registers, NOW_MS))


def test_a_fresh_renewal_is_believed_and_none_is_awaited_where_nobody_leads(mesh):
    assert asked(mesh, holder="a", renewed_ms=NOW_MS - FRESH_MS)[1]
    assert not asked(mesh, holder="")[1]


@pytest.mark.parametrize("renewed_ms", [0, NOW_MS - FRESH_MS - 1, NOW_MS + 60_000])
def test_a_clock_that_goes_wrong_makes_nobody_dead_who_renews(mesh, renewed_ms):
    """Also one that has not said when it renewed, as an older version."""
    holder = Leader(token=1, holder="a", name="one", renewed_ms=renewed_ms)
    write(mesh, REGISTER, pack_leader(holder))
    steps = leading(mesh.agreement.registers, NOW_MS)

    def then_renewed():
        reply = None
        while True:
            try:
                request = steps.send(reply)
            except StopIteration as stop:
                return stop.value
            if isinstance(request, Pause):
                renewed = Leader(token=1, holder="a", name="one", renewed_ms=renewed_ms, renewals=1)
                write(mesh, REGISTER, pack_leader(renewed))
            reply = yield request

    found, lives = mesh.agreement.run(then_renewed())
    assert (found.renewals, lives) == (1, True)
