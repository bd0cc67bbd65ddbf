"""The RabbitMQ of the tests does what they rely on; the server is shared, so none of these may harm it."""

from __future__ import annotations

import pytest
from amqp.exceptions import ConnectionForced
from kombu import Connection

from taskmesh.broker.named import make_broker
from taskmesh.cli.scheduler_broker import SchedulerBroker
from tests.rabbitmq import RabbitMQ
from tests.support import wait_until


def test_a_virtual_host_of_its_own(rabbitmq: RabbitMQ, vhost: str) -> None:
    with Connection(rabbitmq.url(vhost)) as connection:
        queue = connection.SimpleQueue("some")
        queue.put("one")
        wait_until(lambda: rabbitmq.messages(vhost, "some") == 1)
        assert queue.get(timeout=90).payload == "one"
        assert rabbitmq.connections(vhost) == 1
        queue.close()


def test_an_operator_closes_connections(rabbitmq: RabbitMQ, vhost: str) -> None:
    with Connection(rabbitmq.url(vhost)) as connection:
        connection.connect()
        rabbitmq.close_connections(vhost)
        with pytest.raises(ConnectionForced, match="an operator closes it"):
            connection.drain_events(timeout=90)
        wait_until(lambda: rabbitmq.connections(vhost) == 0)


def test_a_scheduler_says_at_its_start_that_the_password_is_wrong(
    rabbitmq: RabbitMQ, vhost: str, caplog: pytest.LogCaptureFixture
) -> None:
    SchedulerBroker(make_broker(rabbitmq.url(vhost, password="wrong"), "shop"), "mail", "clock").look()
    (said,) = caplog.messages
    assert "check user 'guest' and the password in the address; scheduler clock goes on without it" in said


def test_a_life_after_a_kill(own_rabbitmq: RabbitMQ) -> None:
    address = own_rabbitmq.add_vhost("kept")
    own_rabbitmq.kill()
    own_rabbitmq.start()
    with Connection(address) as connection:
        connection.connect()
    with own_rabbitmq.memory_alarm():
        wait_until(lambda: own_rabbitmq.connections("kept") == 0)
