"""What a call can be given: when it may run, until when it may begin, how urgent it is, where it goes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import TaskExpired, UsageError
from tests.support import wait_until

TIMEOUT_S = 90.0


@pytest.fixture
def started(app, tmp_path):
    """Have a worker begin to serve a queue, one message at a time."""
    workers = []

    def start(*queues: str) -> None:
        worker = app.mesh.workers(1, queues=queues)
        worker.__enter__()
        workers.append(worker)

    yield start
    for worker in workers:
        worker.__exit__(None, None, None)


def in_order(app, tmp_path, sent) -> list[str]:
    """Return what tasks wrote into the file, once all have ended."""
    for result in sent:
        result.get(timeout=TIMEOUT_S)
    return (tmp_path / "order").read_text().split()


def test_higher_priorities_run_sooner_and_equals_in_the_order_of_sending(app, tmp_path, started):
    wanted = [(p, n) for n, p in enumerate([4, 0, 9, 4, 7, 9, 0, 5, 3, 4])]
    sent = [
        app.write_down.apply_async((str(tmp_path / "order"), f"{p}-{n}"), queue="urgency", priority=p)
        for p, n in wanted
    ]
    started("urgency")
    ordered = sorted(wanted, key=lambda item: (-item[0], item[1]))
    assert in_order(app, tmp_path, sent) == [f"{p}-{n}" for p, n in ordered]


def test_a_task_has_a_priority_of_its_own(app, tmp_path, started, make_mesh):
    mesh = make_mesh()
    urgent = mesh.task(name=app.write_down.name, priority=8)(app.write_down.function)
    path = str(tmp_path / "order")
    sent = [
        app.write_down.apply_async((path, "ordinary"), queue="own-urgency"),
        urgent.apply_async((path, "urgent"), queue="own-urgency"),
        urgent.apply_async((path, "not-now"), queue="own-urgency", priority=0),
    ]
    started("own-urgency")
    assert in_order(app, tmp_path, sent) == ["urgent", "ordinary", "not-now"]


@pytest.mark.parametrize("how", ["countdown", "eta", "text"])
def test_a_message_runs_when_it_is_due_and_not_before(app, how):
    before = datetime.now(UTC)
    due = before + timedelta(seconds=1)
    options = {"countdown": {"countdown": 1.0}, "text": {"countdown": "1000ms"}, "eta": {"eta": due}}[how]
    result = app.now.apply_async(**options)
    # where this process stood still meanwhile, it may be any that comes later
    assert result.state == "SCHEDULED" or datetime.now(UTC) >= before + timedelta(seconds=0.5)
    ran = datetime.fromtimestamp(result.get(timeout=TIMEOUT_S), UTC)
    # the node's clock is measured, on a busy machine not very well
    assert ran >= before + timedelta(seconds=0.5)


def test_one_that_is_due_already_runs_at_once(app):
    result = app.add.apply_async((1, 2), eta=datetime.now(UTC) - timedelta(days=1))
    assert result.state != "SCHEDULED"
    assert result.get(timeout=TIMEOUT_S) == 3


def test_what_is_due_later_waits_scheduled_and_can_be_revoked(app):
    result = app.add.apply_async((1,), countdown=timedelta(days=400))
    assert result.state == "SCHEDULED"
    assert result.revoke()
    assert result.state == "REVOKED"


def test_many_are_due_together(app):
    results = app.add.map(range(300), countdown=0.2, priority=9)
    assert results.get(timeout=TIMEOUT_S) == list(range(300))


def test_what_nobody_begins_in_time_expires(app):
    """Nobody serves the queue: the supervisors see to it."""
    result = app.add.apply_async((1,), queue="nobody-expiry", expires=0.1)
    with pytest.raises(TaskExpired):
        result.get(timeout=TIMEOUT_S)
    assert result.state == "EXPIRED"
    assert result.ready()
    assert not result.failed()


def test_what_a_worker_claims_too_late_expires(app, started):
    results = app.add.map(range(20), queue="late-expiry", expires=datetime.now(UTC) - timedelta(seconds=1))
    started("late-expiry")
    for result in results:
        with pytest.raises(TaskExpired):
            result.get(timeout=TIMEOUT_S)


@pytest.mark.parametrize("expires", [0, "past"])
def test_what_had_no_time_to_begin_never_begins(app, expires):
    """Though idle workers are given it at once, and their clocks may be off by some ms."""
    moment = datetime.now(UTC) - timedelta(milliseconds=1) if expires else 0
    options = app.add.send_options({"expires": moment})
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    assert options.expires_ms(now_ms) < now_ms - 500
    for _ in range(10):
        with pytest.raises(TaskExpired):
            app.add.apply_async((1, 1), expires=moment).get(timeout=TIMEOUT_S)


def test_what_begins_in_time_does_not_expire(app, mesh):
    result = app.add.apply_async((1, 2), expires=3600)
    assert result.get(timeout=TIMEOUT_S) == 3
    link = mesh.link
    from taskmesh.core.steps import Call

    def expiring():
        (reply,) = yield [Call(None, link.prefix, (b"ZSCORE", link.prefix + b"e", result.id.encode()))]
        return reply

    assert link.run(expiring()) is None


def test_a_delayed_message_can_expire_before_it_is_due(app):
    result = app.add.apply_async((1,), countdown=3600, expires=0.1)
    with pytest.raises(TaskExpired):
        result.get(timeout=TIMEOUT_S)


def test_options_in_an_event_loop(app):
    async def main() -> tuple[float, float]:
        before = datetime.now(UTC).timestamp()
        result = await app.now.aapply_async(countdown=1, priority=9)
        return before, await result

    before, ran = asyncio.run(main())
    assert ran >= before + 0.5


def test_routes_name_queues_by_patterns(app, make_mesh, started):
    mesh = make_mesh(routes={"*.write_down": "written", "tests.*": "others"}, default_queue="unused")
    assert mesh.task(name="tests.x.write_down")(app.square).send_options({}).queue == "written"
    assert mesh.task(name="tests.x.other", queue="own")(app.fail_at).send_options({}).queue == "others"
    task = mesh.task(name="elsewhere", queue="own")(app.square)
    assert task.send_options({}).queue == "own"
    assert task.send_options({"queue": "now"}).queue == "now"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"priority": 10}, "0 to 9"),
        ({"priority": -1}, "higher is sooner"),
        ({"priority": "high"}, "whole number"),
        ({"priority": True}, "whole number"),
        ({"countdown": -1}, "countdown=-1"),
        ({"countdown": float("nan")}, "countdown=nan"),
        ({"countdown": "soon"}, "countdown='soon'"),
        ({"eta": 10}, "countdown="),
        ({"eta": datetime(2030, 1, 1)}, "time zone"),  # noqa: DTZ001 - that is the mistake
        ({"eta": datetime.now(UTC), "countdown": 1}, "give one"),
        ({"expires": -5}, "expires=-5"),
        ({"eta": datetime(9000, 1, 1, tzinfo=UTC)}, "100 years"),
        ({"prioritty": 3}, "did you mean priority"),
        ({"ignore_result": 1}, "True or False"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(app, options, text):
    with pytest.raises(UsageError, match=text):
        app.add.apply_async((1,), **options)
    with pytest.raises(UsageError, match=text):
        app.add.map([1], **options)


@pytest.mark.parametrize("options", [{"priority": 11}, {"expires": "x"}, {"retrys": 3}])
def test_options_of_tasks_that_cannot_be_are_refused(options):
    mesh = TaskMesh("options", embedded="private")
    with pytest.raises(UsageError, match=next(iter(options))):
        mesh.task(**options)(len)


def test_all_of_a_batch_wait_for_their_times(app, mesh):
    with mesh.batch():
        soon = app.add.apply_async((1, 1), countdown=0.1)
        now = app.add.delay(2, 2)
        late = app.add.apply_async((3, 3), countdown=3600)
    assert (now.get(timeout=TIMEOUT_S), soon.get(timeout=TIMEOUT_S)) == (4, 2)
    assert late.state == "SCHEDULED"
    assert late.revoke()
    wait_until(lambda: late.state == "REVOKED")
