"""A line to a broker by kombu: RabbitMQ, `memory://`, and what else it has a transport for. No other file imports it.

On RabbitMQ a queue of tickets is a durable quorum queue, and what is published counts once the broker has confirmed it.
Everywhere else kombu makes its queues as it can.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle
from typing import Any

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import KombuError
from kombu.message import Message
from kombu.messaging import Consumer, Producer

from taskmesh.broker.address import Where, where
from taskmesh.broker.causes import ACCESS_REFUSED, NOT_FOUND, explained
from taskmesh.broker.over_lines import LineBroker
from taskmesh.config.brokers import addresses_of, broker_shown
from taskmesh.errors import BrokerRefused, BrokerUnavailable

#: So many tickets of a queue are kept, and the oldest dropped: they are alike, and busy workers take none.
KEPT_MAX = 1024
#: How long an answer may take before the connection counts as lost.
ANSWER_S = 10.0
#: How long a look at a transport that is polled lasts at most: it cannot be interrupted.
POLL_S = 0.05
#: How long a frame may take that has begun to arrive.
FRAME_S = 0.02
#: How long a connection may take to be closed.
CLOSE_S = 1.0
_ERRORS: tuple[type[BaseException], ...] = (OSError, KombuError, ImportError)
_ARGUMENTS = {"x-queue-type": "quorum", "x-max-length": KEPT_MAX, "x-overflow": "drop-head"}


class KombuBroker(LineBroker):
    """A broker that kombu speaks to."""

    def __init__(self, address: str, mesh: str) -> None:
        """Prepare; nothing is connected.

        Args:
            address: As the setting `broker` holds it.
            mesh: Name of the mesh; its queues begin with `taskmesh.NAME.`.
        """
        super().__init__(partial(KombuLine, address, mesh), broker_shown(address))


class KombuLine:
    """One connection. See `Line`."""

    def __init__(self, address: str, mesh: str) -> None:
        """Prepare; nothing is connected.

        Args:
            address: As the setting `broker` holds it.
            mesh: Name of the mesh.
        """
        self.shown = broker_shown(address)
        self._prefix = f"taskmesh.{mesh}."
        self._servers = cycle([where(each) for each in addresses_of(address)])
        self._server_count = len(addresses_of(address))
        self._server: Where | None = None
        self._connection: Any = None
        self._wire: Any = None
        self._errors: tuple[type[BaseException], ...] = _ERRORS
        self._forget_channels()

    def _forget_channels(self) -> None:
        self._publishing: Any = None
        self._asking: Any = None
        self._hearing: Any = None
        self._consumer: Any = None
        self._sent = 0
        self._unconfirmed: dict[int, str] = {}
        self._refused_some = False
        self._returned: set[str] = set()

    # -- the connection -----------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as anybody knows."""
        return self._connection is not None

    @property
    def beat_s(self) -> float:
        """How often `beat` is to be called at least."""
        heartbeat = self._wire.heartbeat if self._is_amqp and self._wire is not None else 0
        return max(0.5, heartbeat / 3) if heartbeat else 10.0

    @property
    def _is_amqp(self) -> bool:
        return self._server is not None and self._server.is_amqp

    def connect(self) -> None:
        """Connect to the first server that lets us, unless it is connected."""
        if self.is_open:
            return
        for left in reversed(range(self._server_count)):
            self._server = next(self._servers)
            try:
                self._connect()
            except (BrokerRefused, BrokerUnavailable):
                if not left:
                    raise
            else:
                return

    def _connect(self) -> None:
        server = self._at
        self._forget_channels()
        with self._explaining(connecting=True):
            connection = Connection(**server.arguments)
            self._errors = (*_ERRORS, *connection.connection_errors, *connection.channel_errors)
            connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            # kombu's own would connect anew by itself, without what was consumed on it
            self._connection, self._wire = connection, connection.connection
            if server.is_amqp:
                self._wire.transport.sock.settimeout(ANSWER_S)

    @property
    def _at(self) -> Where:
        if self._server is None:
            raise BrokerUnavailable(f"broker {self.shown} was never connected", broker=self.shown)
        return self._server

    @contextlib.contextmanager
    def _explaining(self, at: str = "", *, connecting: bool = False) -> Iterator[None]:
        """Have errors of the library come as ours, and the connection count as lost.

        Args:
            at: Which queue of the broker's is meant; empty for none.
            connecting: Whether the connection is only being made.
        """
        try:
            if not (connecting or self.is_open):
                raise BrokerUnavailable(f"broker {self.shown} is not connected", broker=self.shown)
            yield
        except self._errors as error:
            server = self._at
            ours = explained(
                error, server.shown, user=server.user, vhost=server.vhost, at=at, connecting=connecting
            )
            self.close()
            raise ours from error
        except (BrokerRefused, BrokerUnavailable):
            self.close()
            raise

    def beat(self) -> None:
        """Say that this side lives, and look whether the other does."""
        if not self._is_amqp:
            return
        with self._explaining():
            self._take_what_came()
            self._wire.heartbeat_tick(rate=3)

    def close(self) -> None:
        """Close the connection, within a second."""
        connection, self._connection = self._connection, None
        wire, self._wire = self._wire, None
        hearing = self._hearing
        self._forget_channels()
        if connection is None:
            return
        if hearing is not None and not self._is_amqp:
            # RabbitMQ does so by itself; kombu's own queues only where a transport asks for it, and `memory` does not
            with contextlib.suppress(*self._errors):
                hearing.qos.restore_unacked()
        # one that is broken says so once more, in many ways
        with contextlib.suppress(*self._errors, AttributeError):
            if self._is_amqp and wire.connected:
                wire.transport.sock.settimeout(CLOSE_S)
            connection.release()

    def abandon(self) -> None:
        """Forget a connection of the process from which this one was forked, without a word to the broker."""
        wire, self._connection, self._wire = self._wire, None, None
        self._forget_channels()
        sock = wire.transport.sock if wire is not None and self._is_amqp and wire.connected else None
        if sock is not None:
            # or its end here would shut down the socket, which is the other process's as well
            wire.transport.sock = None
            os.close(sock.detach())

    def _channel(self) -> Any:
        return self._wire.channel() if self._is_amqp else self._connection.channel()

    # -- queues -------------------------------------------------------------------

    def _name(self, queue: str) -> str:
        return self._prefix + queue

    def declare(self, queues: Sequence[str]) -> None:
        """Make queues, unless they are there."""
        for queue in queues:
            name = self._name(queue)
            with self._explaining(name):
                try:
                    arguments = _ARGUMENTS if self._is_amqp else {}
                    self._asking_channel().queue_declare(
                        name, durable=True, auto_delete=False, arguments=arguments
                    )
                except self._connection.channel_errors as error:
                    if _code(error) != ACCESS_REFUSED or not self._is_there(name):
                        raise

    def _is_there(self, name: str) -> bool:
        """Tell whether there is a queue: an account that may make none can use one that somebody made for it."""
        self._asking = None  # the broker closes it when it refuses
        try:
            self._asking_channel().queue_declare(name, passive=True)
        except self._connection.channel_errors:
            return False
        return True

    def waiting(self, queue: str) -> int:
        """Return how many tickets of a queue wait; 0 if there is no such queue."""
        name = self._name(queue)
        with self._explaining(name):
            try:
                return int(self._asking_channel().queue_declare(name, passive=True).message_count)
            except self._connection.channel_errors as error:
                self._asking = None  # the broker has closed it
                if _code(error) == NOT_FOUND:
                    return 0
                raise

    def _asking_channel(self) -> Any:
        if self._asking is None:
            self._asking = self._channel()
        return self._asking

    # -- callers ------------------------------------------------------------------

    def publish(self, counts: Mapping[str, int]) -> None:
        """Send so many tickets for each queue, and return when the broker has them all."""
        for queue, count in counts.items():
            if not self._is_amqp and self.waiting(queue) < KEPT_MAX:
                self._put(queue, count)
        if not self._is_amqp:
            return
        self._put_confirmed(counts)
        if self._returned:
            missing = {queue: counts[queue] for queue in counts if self._name(queue) in self._returned}
            self.declare([*missing])
            self._put_confirmed(missing)

    def _put(self, queue: str, count: int) -> None:
        name = self._name(queue)
        with self._explaining(name):
            if self._publishing is None:
                self._publishing = self._channel()
            self._publishing.queue_declare(name, durable=True)
            producer = Producer(self._publishing, auto_declare=False)
            for _ in range(count):
                producer.publish({"queue": queue}, routing_key=name, serializer="json", delivery_mode=2)

    def _put_confirmed(self, counts: Mapping[str, int]) -> None:
        self._returned = set()
        with self._explaining(", ".join(map(self._name, counts))):
            channel = self._confirming_channel()
            for queue, count in counts.items():
                name = self._name(queue)
                ticket = channel.prepare_message(
                    json.dumps({"queue": queue}),
                    content_type="application/json",
                    content_encoding="utf-8",
                    properties={"delivery_mode": 2},
                )
                for _ in range(count):
                    self._sent += 1
                    self._unconfirmed[self._sent] = queue
                    channel.basic_publish(ticket, routing_key=name, mandatory=True)
            self._await_confirms()

    def _confirming_channel(self) -> Any:
        if self._publishing is None:
            channel = self._publishing = self._channel()
            channel.events["basic_ack"].add(self._on_confirmed)
            channel.events["basic_nack"].add(self._on_refused)
            channel.events["basic_return"].add(self._on_returned)
            channel.confirm_select()
        return self._publishing

    def _on_confirmed(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - the library's
        for each in [each for each in self._unconfirmed if each <= tag] if multiple else [tag]:
            self._unconfirmed.pop(each, None)

    def _on_refused(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 - the library's
        self._refused_some = True
        self._on_confirmed(tag, multiple)

    def _on_returned(self, _error: Exception, _exchange: str, name: str, _message: Any) -> None:
        self._returned.add(name)

    def _await_confirms(self) -> None:
        until_s = time.monotonic() + ANSWER_S
        while self._unconfirmed:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                queues = ", ".join(sorted({*self._unconfirmed.values()}))
                raise BrokerUnavailable(
                    f"broker {self.shown} has not confirmed within {ANSWER_S:g} s what was sent for {queues}; is it "
                    "short of memory or disk, or without a majority for that queue?",
                    broker=self.shown,
                )
            with contextlib.suppress(TimeoutError):
                self._wire.drain_events(timeout=left_s)
        if self._refused_some:
            raise BrokerUnavailable(f"broker {self.shown} has not taken what was sent", broker=self.shown)

    # -- workers ------------------------------------------------------------------

    def consume(self, queues: Sequence[str], at_once: int, heard: Callable[[str, Any], None]) -> None:
        """Begin to take tickets."""
        self.declare(queues)
        names = {self._name(queue): queue for queue in queues}
        with self._explaining(", ".join(names)):

            def on_message(message: Any) -> None:
                # its own words are not needed: which queue it came by is what counts
                name = str(message.delivery_info.get("routing_key") or "")
                heard(names.get(name, name.removeprefix(self._prefix)), message)

            if self._hearing is None:
                self._hearing = self._channel()
                if self._is_amqp:
                    self._hearing.message_to_python = partial(_unread, self._hearing)
            consumer = Consumer(
                self._hearing,
                [Queue(name, durable=True, no_declare=True) for name in names],
                on_message=on_message,
                auto_declare=False,
                accept=["json"],
            )
            consumer.qos(prefetch_count=at_once)
            consumer.consume()
            self._consumer = consumer

    def cancel(self) -> None:
        """Take no more tickets."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with self._explaining():
                consumer.cancel()

    def acknowledge(self, tag: Any) -> None:
        """Be done with a ticket."""
        with self._explaining():
            tag.ack()

    def put_back(self, tag: Any) -> None:
        """Leave a ticket to others."""
        with self._explaining():
            tag.requeue()

    def wait(self, timeout_s: float, wakeup: int) -> None:
        """Wait until something comes, but no longer than a while, or until a descriptor can be read."""
        with self._explaining():
            if not self._is_amqp:
                self._poll(timeout_s, wakeup)
                return
            sock = self._wire.transport.sock
            if not _has_read(sock):
                select.select([sock, wakeup], [], [], timeout_s)
            self._take_what_came()

    def _poll(self, timeout_s: float, wakeup: int) -> None:
        if self._consumer is None:
            select.select([wakeup], [], [], timeout_s)
            return
        with contextlib.suppress(TimeoutError):
            self._connection.drain_events(timeout=min(max(timeout_s, 0.001), POLL_S))

    def _take_what_came(self) -> None:
        sock = self._wire.transport.sock
        while _has_read(sock) or select.select([sock], [], [], 0)[0]:
            with contextlib.suppress(TimeoutError):
                self._wire.drain_events(timeout=FRAME_S)


def _unread(channel: Any, raw: Any) -> Message:
    """Return a ticket without what is in it, and in its headers: kombu would unpack what says that it is compressed."""
    return Message(channel=channel, delivery_tag=raw.delivery_tag, delivery_info=raw.delivery_info)


def _has_read(sock: Any) -> bool:
    """Tell whether bytes have been read of a socket that no `select` shows any more: TLS reads whole records."""
    pending = getattr(sock, "pending", None)
    return pending is not None and pending() > 0


def _code(error: BaseException) -> int:
    """Return AMQP's number for an error; kombu's own transports give it as text."""
    code = getattr(error, "reply_code", 0) or getattr(error, "code", 0)
    return int(code) if str(code).isdigit() else NOT_FOUND if "NOT_FOUND" in str(error) else 0
