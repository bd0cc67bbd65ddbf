"""A line to RabbitMQ: tickets wait in durable quorum queues, and count once the broker has confirmed them."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from kombu.message import Message

from taskmesh.broker.kombu_line import KEPT_MAX, KombuLine
from taskmesh.broker.readable import readable
from taskmesh.errors import BrokerUnavailable

#: How long an answer may take before the connection counts as lost.
ANSWER_S = 10.0
#: How long a frame may take that has begun to arrive.
FRAME_S = 0.02
#: How long a connection may take to be closed.
CLOSE_S = 1.0


class AmqpLine(KombuLine):
    """One connection to RabbitMQ, or its like. See `Line`."""

    _arguments: ClassVar[Mapping[str, Any]] = {
        "x-queue-type": "quorum",
        "x-max-length": KEPT_MAX,
        "x-overflow": "drop-head",  # the oldest
    }

    def _forget(self) -> None:
        super()._forget()
        self._wire: Any = None
        self._sent = 0
        self._unconfirmed: dict[int, str] = {}
        self._refused_some = False
        self._returned: set[str] = set()

    # -- the connection -----------------------------------------------------------

    def _begin(self, connection: Any) -> None:
        super()._begin(connection)
        # kombu's own would connect anew by itself, without what was consumed on it
        self._wire = connection.connection
        self._wire.transport.sock.settimeout(ANSWER_S)

    @property
    def beat_s(self) -> float:
        """How often `beat` is to be called at least."""
        heartbeat = self._wire.heartbeat if self._wire is not None else 0
        return max(0.5, heartbeat / 3) if heartbeat else 10.0

    def beat(self) -> None:
        """Say that this side lives, and look whether the other does."""
        with self._explaining():
            self._take_what_came()
            self._wire.heartbeat_tick(rate=3)

    def _take_leave(self) -> None:
        if self._wire is not None and self._wire.connected:
            self._wire.transport.sock.settimeout(CLOSE_S)

    def abandon(self) -> None:
        """Forget a connection of the process from which this one was forked, without a word to the broker."""
        wire = self._wire
        super().abandon()
        sock = wire.transport.sock if wire is not None and wire.connected else None
        if sock is not None:
            # or its end here would shut down the socket, which is the other process's as well
            wire.transport.sock = None
            os.close(sock.detach())

    def _channel(self) -> Any:
        return self._wire.channel()

    # -- callers ------------------------------------------------------------------

    def publish(self, counts: Mapping[str, int]) -> None:
        """Send so many tickets for each queue, and return when the broker has them all."""
        self._put_confirmed(counts)
        if self._returned:
            missing = {queue: counts[queue] for queue in counts if self._name(queue) in self._returned}
            self.declare([*missing])
            self._put_confirmed(missing)

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

    def _hearing_channel(self) -> Any:
        channel = self._channel()
        channel.message_to_python = partial(_unread, channel)
        return channel

    def wait(self, timeout_s: float, wakeup: int) -> None:
        """Wait until something comes, but no longer than a while, or until a descriptor can be read."""
        with self._explaining():
            sock = self._wire.transport.sock
            if not _has_read(sock):
                readable(sock, wakeup, timeout_s=timeout_s)
            self._take_what_came()

    def _take_what_came(self) -> None:
        sock = self._wire.transport.sock
        while _has_read(sock) or readable(sock, timeout_s=0):
            with contextlib.suppress(TimeoutError):
                self._wire.drain_events(timeout=FRAME_S)


def _unread(channel: Any, raw: Any) -> Message:
    """Return a ticket without what is in it, and in its headers: kombu would unpack what says that it is compressed."""
    return Message(channel=channel, delivery_tag=raw.delivery_tag, delivery_info=raw.delivery_info)


def _has_read(sock: Any) -> bool:
    """Tell whether bytes have been read of a socket that no `select` shows any more: TLS reads whole records."""
    pending = getattr(sock, "pending", None)
    return pending is not None and pending() > 0
