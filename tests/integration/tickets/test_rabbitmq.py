"""A worker's thread at a real RabbitMQ, and workers that hear of work by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskmesh.broker.named import make_broker
from taskmesh.nodes.embedded import PrivateNode
from taskmesh.queue.ticket import Given
from taskmesh.worker import ticket_silence
from taskmesh.worker.ticket_line import TicketLine
from tests.apps import worker_tasks as tasks
from tests.faults.proxy import Proxy, Way
from tests.rabbitmq import RabbitMQ
from tests.support import wait_until


class Nodes:
    """Gives what a test has put there, in place of the nodes; and stands for the children, of whom one waits."""

    size = 4

    def __init__(self) -> None:
        self.asked = 0
        self.ready = 0
        self.waiting = 1

    def count_waiting(self) -> int:
        return self.waiting

    def give(self, _queue: str, _tickets: int) -> Given:
        self.asked += 1
        if self.ready and not self.waiting:
            return Given(0, is_left=True, is_busy=True)
        self.ready = max(0, self.ready - 1)
        return Given(1, is_left=False, is_busy=False)


@pytest.fixture
def proxy(rabbitmq: RabbitMQ) -> Iterator[Proxy]:
    with Proxy(rabbitmq.ports.amqp) as made:
        yield made


@pytest.fixture
def listen(
    rabbitmq: RabbitMQ, vhost: str, proxy: Proxy
) -> Iterator[Callable[[Nodes, list[str]], TicketLine]]:
    """Return what starts a line, through the proxy."""
    made: list[Any] = []

    def start(nodes: Nodes, told: list[str]) -> TicketLine:
        address = rabbitmq.url(vhost).replace(f":{rabbitmq.ports.amqp}/", f":{proxy.port}/")
        broker = make_broker(address, "shop")
        line = TicketLine(
            broker,
            broker.listen(["default"]),
            nodes,
            ["default"],
            worker="w",
            children=nodes,
            tell=told.append,
        )
        made.extend((line, broker))
        return line.start()

    yield start
    for each in made:
        each.join() if isinstance(each, TicketLine) else each.close()


@pytest.fixture
def caller(rabbitmq: RabbitMQ, vhost: str) -> Iterator[Any]:
    made = make_broker(rabbitmq.url(vhost), "shop")
    yield made
    made.close()


def test_tickets_of_a_busy_worker_stay_at_the_broker(
    listen: Callable[[Nodes, list[str]], TicketLine], caller: Any
) -> None:
    nodes = Nodes()
    nodes.ready, nodes.waiting = 9, 0
    line = listen(nodes, [])
    caller.announce("default", 9)
    assert caller.flush(90)
    wait_until(lambda: caller.waiting("default") == 9)
    assert nodes.asked == 0
    nodes.waiting = 1
    wait_until(lambda: caller.waiting("default") == 0, what="it takes them")
    line.join()
    assert nodes.asked > 0


def test_a_line_that_is_cut_in_silence_is_made_anew(
    listen: Callable[[Nodes, list[str]], TicketLine],
    caller: Any,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No end is told, so its heartbeats would miss the broker only in a minute."""
    monkeypatch.setattr(ticket_silence, "QUIET_S", 0.5)
    monkeypatch.setattr(ticket_silence, "AGAIN_S", 0.1)
    nodes, told = Nodes(), []
    listen(nodes, told)
    caller.announce("default")
    wait_until(lambda: nodes.asked == 1, what="it hears")
    proxy.silence()
    caller.announce("default", nodes.size + 2)  # more than the half of the connection that lives takes
    wait_until(lambda: nodes.asked >= 2, what="it hears again")
    assert "hears nothing though tickets wait at" in caplog.text
    assert told == [""]


def test_a_broker_that_is_away_is_told_of_once_and_its_return_too(
    listen: Callable[[Nodes, list[str]], TicketLine], caller: Any, proxy: Proxy
) -> None:
    nodes, told = Nodes(), []
    listen(nodes, told)
    caller.announce("default")
    wait_until(lambda: nodes.asked == 1, what="it hears")
    proxy.be(Way.CLOSED)
    proxy.reset()
    wait_until(lambda: len(told) == 2, what="it is told")
    caller.announce("default")
    proxy.be(Way.PASS)
    # the first one may come once more, where its end had not reached the broker
    wait_until(lambda: nodes.asked >= 2, what="it hears again")
    assert [bool(trouble) for trouble in told] == [False, True, False]
    assert "guest:guest" not in told[1]


def test_a_worker_hears_of_work_by_rabbitmq(
    make_scene: Callable[..., Any], chaos_node: PrivateNode, rabbitmq: RabbitMQ, vhost: str
) -> None:
    scene = make_scene(
        "rabbit", f"unix://{chaos_node.socket_path}", broker=rabbitmq.url(vhost), lease_ttl=30.0
    )
    scene.worker(2)
    for number in range(20):
        assert scene.send(tasks.add, number, 1, expect=number + 1).get(90) == number + 1
    scene.check()
    wait_until(lambda: scene.mesh.broker.waiting("default") == 0, what="every ticket is done with")
