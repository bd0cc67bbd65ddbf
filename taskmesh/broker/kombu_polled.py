"""A line by any transport of kombu's but RabbitMQ's: queues are as it makes them, and are looked at again and again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from kombu.messaging import Producer

from taskmesh.broker.kombu_line import KEPT_MAX, KombuLine
from taskmesh.broker.readable import readable

#: How long a look lasts at most: it cannot be interrupted.
POLL_S = 0.05


class PolledLine(KombuLine):
    """One connection. See `Line`."""

    beat_s = 10.0

    def beat(self) -> None:
        """Do nothing: who is not looked at is not missed."""

    def _take_leave(self) -> None:
        # kombu gives back what is not settled only where a transport asks for it, and `memory` does not
        if self._hearing is not None:
            with contextlib.suppress(*self._errors):
                self._hearing.qos.restore_unacked()

    def publish(self, counts: Mapping[str, int]) -> None:
        """Send so many tickets for each queue, unless it has enough."""
        for queue, count in counts.items():
            if self.waiting(queue) < KEPT_MAX:
                self._put(queue, count)

    def _put(self, queue: str, count: int) -> None:
        name = self._name(queue)
        with self._explaining(name):
            if self._publishing is None:
                self._publishing = self._channel()
            self._publishing.queue_declare(name, durable=True)
            producer = Producer(self._publishing, auto_declare=False)
            for _ in range(count):
                producer.publish({"queue": queue}, routing_key=name, serializer="json", delivery_mode=2)

    def wait(self, timeout_s: float, wakeup: int) -> None:
        """Wait until something comes, but no longer than a while, or until a descriptor can be read."""
        with self._explaining():
            if self._consumer is None:
                readable(wakeup, timeout_s=timeout_s)
                return
            with contextlib.suppress(TimeoutError):
                self._connection.drain_events(timeout=min(max(timeout_s, 0.001), POLL_S))
