"""Strategies on a real worker: two full queues, one child, and the order in which their tasks ran."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

import pytest

from taskmesh.balancing.strategy import PASSED_OVER_S
from taskmesh.errors import ServerBinaryMissing, UsageError
from taskmesh.nodes.server_binary import find_server
from taskmesh.worker.pace import CLAIM_MAX
from tests.apps.balancing_tasks import mail, mesh, slow

pytestmark = pytest.mark.needs_server


@pytest.fixture(scope="module", autouse=True)
def node() -> Iterator[None]:
    try:
        find_server()
    except ServerBinaryMissing as error:
        pytest.skip(str(error))
    yield
    mesh.close()


@pytest.fixture
def drained(tmp_path: Path) -> Callable[..., str]:
    """Send so many to each queue, have a worker run all, and return their letters in the order of their runs."""

    def drain(mails: int, slows: int, **options: object) -> str:
        path = tmp_path / "letters"
        mail.starmap([(str(path),)] * mails)
        slow.starmap([(str(path),)] * slows)
        assert mesh.run_worker(1, burst=True, **options) == 0
        letters = path.read_text()
        assert (letters.count("m"), letters.count("s")) == (mails, slows)
        return letters

    return drain


def test_weights_hold_over_messages_while_both_queues_are_full(drained):
    """Whatever a claim takes at once: at each moment mail has had three of four, give or take two claims."""
    letters = drained(3000, 3000, queues=("mail=3", "slow"))
    both_full = letters[: letters.rindex("m")]
    mails = accumulate(letter == "m" for letter in both_full)
    assert max(abs(count - 0.75 * at) for at, count in enumerate(mails, 1)) <= 2 * CLAIM_MAX
    assert 800 <= both_full.count("s") <= 1200


def test_a_weight_that_an_operator_sets_counts_instead_of_the_workers_own(drained):
    """The worker has the default strategy, which gives way to weights."""
    mesh.set_queue_weight("mail", 3)
    try:
        letters = drained(3000, 3000, queues=("mail", "slow"))
    finally:
        mesh.reset_queue_weight("mail")
    assert 800 <= letters[: letters.rindex("m")].count("s") <= 1200


def test_priority_is_strict(drained):
    assert drained(600, 600, queues=("slow", "mail"), strategy="priority") == "s" * 600 + "m" * 600


def test_the_longest_queue_goes_first_until_both_are_alike(drained):
    begun_s = time.monotonic()
    letters = drained(2000, 500, queues=("slow", "mail"), strategy="longest-queue")
    # none is passed over for longer than a second: on a slow machine the shorter one has had some of these
    owed = CLAIM_MAX * int((time.monotonic() - begun_s) / PASSED_OVER_S)
    longer, alike = letters[: 1500 - CLAIM_MAX], letters[1500 - CLAIM_MAX :]
    assert longer.count("s") <= owed
    assert alike.index("s") <= 2 * (CLAIM_MAX + longer.count("s"))


def test_the_default_is_round_robin(drained):
    letters = drained(2000, 2000, queues=("slow", "mail"))
    mails = accumulate(letter == "m" for letter in letters)
    assert max(abs(count - 0.5 * at) for at, count in enumerate(mails, 1)) <= 2 * CLAIM_MAX


def test_a_strategy_that_there_is_not_is_refused_before_anything_starts():
    with pytest.raises(UsageError, match="did you mean weighted"):
        mesh.workers(1, strategy="wieghted")
    with pytest.raises(UsageError, match="reads no weights"):
        mesh.workers(1, queues=("mail=3", "slow"), strategy="random")
    with pytest.raises(UsageError, match="whole number from 1 to 1000"):
        mesh.workers(1, queues=("mail=0",))
