"""RabbitMQ, and kombu's transport in memory, keep what every broker has to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from taskmesh.testing.conformance import BrokerConformance, TicketsConformance
from tests.faults.proxy import Proxy, Way
from tests.rabbitmq import RabbitMQ

_vhosts = count(1)


class Rabbit:
    """A virtual host for the tests of a class, and a network in front of it that can be cut."""

    @pytest.fixture(scope="class")
    @classmethod
    def proxy(cls, rabbitmq: RabbitMQ) -> Iterator[Proxy]:
        with Proxy(rabbitmq.ports.amqp) as proxy:
            yield proxy

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls, rabbitmq: RabbitMQ, proxy: Proxy) -> Iterator[str]:
        name = f"conformance{os.getpid()}-{next(_vhosts)}"
        rabbitmq.add_vhost(name)
        yield f"amqp://guest:guest@127.0.0.1:{proxy.port}/{name}"
        rabbitmq.delete_vhost(name)

    @pytest.fixture(scope="class")
    @classmethod
    def interruption(cls, proxy: Proxy):
        @contextmanager
        def interruption():
            proxy.be(Way.CLOSED)
            proxy.reset()
            try:
                yield
            finally:
                proxy.be(Way.PASS)

        return interruption


@pytest.mark.needs_server
class TestRabbitMQ(Rabbit, BrokerConformance):
    pass


class TestRabbitTickets(Rabbit, TicketsConformance):
    pass


class TestMemoryTickets(TicketsConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> str:
        return "memory://"
