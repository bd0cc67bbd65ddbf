"""How long to wait, as callers say it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from decimal import Decimal
from fractions import Fraction

import pytest

from taskmesh import ResultSet, TaskMesh
from taskmesh.client.future import MeshFuture
from taskmesh.client.timeout import read_timeout
from taskmesh.errors import UsageError

WRONG = ["5", b"5", float("nan"), Decimal("nan"), "soon", [1], object()]


@pytest.fixture
def mesh():
    return TaskMesh("timeouts", eager=True)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(None, None), (5, 5), (0, 0), (-1, -1), (0.5, 0.5), (Decimal("1.5"), 1.5), (Fraction(1, 2), 0.5)],
)
def test_numbers_are_seconds(given, seconds):
    assert read_timeout(given) == seconds


@pytest.mark.parametrize("given", [float("inf"), 1e300, 10**400, Decimal("Infinity")])
def test_what_no_lock_could_wait_is_for_ever(given):
    assert read_timeout(given) is None


@pytest.mark.parametrize("given", WRONG)
def test_what_is_no_number_is_refused(mesh, given):
    handle = mesh.submit(pow, 2, 3)
    future: Future[int] = MeshFuture(handle)
    for wait in (
        handle.get,
        future.result,
        future.exception,
        ResultSet([handle]).get,
        ResultSet([handle]).wait,
        lambda timeout: list(ResultSet([handle]).as_completed(timeout)),
        lambda timeout: mesh.executor().map(pow, [2], [3], timeout=timeout),
    ):
        with pytest.raises(UsageError, match=r"timeout=.*expected a number of seconds"):
            wait(given)


def test_infinity_waits_for_ever(mesh):
    """A plain lock cannot: it says that the timestamp is too large."""
    with pytest.raises(OverflowError):
        threading.Lock().acquire(timeout=float("inf"))
    assert list(mesh.executor().map(pow, [2], [3], timeout=float("inf"))) == [8]
    assert mesh.submit(pow, 2, 3).get(timeout=float("inf")) == 8
    assert list(ResultSet([mesh.submit(pow, 2, 3)]).as_completed(float("inf")))
