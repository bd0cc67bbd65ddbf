"""Dramatiq: Redis broker (or RabbitMQ), results by its middleware, eight threads per process (its default)."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.harness import stamps
from benchmarks.peers.adapters.base import BROKER, PACKAGE, TIMEOUT_S, URL, Adapter, program


def make_broker() -> Any:
    """Return the broker: that of Redis, unless RabbitMQ is given."""
    if not BROKER:
        return RedisBroker(url=URL)
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    return RabbitmqBroker(url=BROKER)


broker = make_broker()
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def add(x: int, y: int) -> int:
    return stamps.work(x, y)


class Peer(Adapter):
    imports = (
        "import dramatiq; from dramatiq.brokers.redis import RedisBroker; "
        "from dramatiq.results.backends import RedisBackend"
    )
    bulk_call = "group"

    def send_one(self) -> Any:
        return add.send(1, 2)

    def send_bulk(self, n: int) -> list[Any]:
        return list(dramatiq.group([add.message(1, 2) for _ in range(n)]).run().children)

    def get(self, handle: Any) -> Any:
        return handle.get_result(block=True, timeout=TIMEOUT_S * 1000)

    def worker_commands(self, n: int) -> list[list[str]]:
        return [[program("dramatiq"), f"{PACKAGE}.dramatiq_", "-p", str(n), "-t", "8"]]
