"""What lines by kombu have in common: the connection, queues, and taking tickets from them."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any, ClassVar

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.exceptions import KombuError
from kombu.messaging import Consumer

from taskmesh.broker.address import Where, where
from taskmesh.broker.causes import ACCESS_REFUSED, NOT_FOUND, code_of, explained, unmade
from taskmesh.config.brokers import addresses_of, broker_shown
from taskmesh.errors import BrokerRefused, BrokerUnavailable

#: So many tickets of a queue are kept: they are alike, and busy workers take none.
KEPT_MAX = 1024
_ERRORS: tuple[type[BaseException], ...] = (OSError, KombuError, ImportError)


def prefix_of(mesh: str) -> str:
    """Return what the names of a mesh's queues begin with at the broker.

    Dots in the name of the mesh are written otherwise: else queue `b.mail` of mesh `a` would be queue `mail` of `a.b`.
    """
    return f"taskmesh.{mesh.replace('.', '%2E')}."


@contextlib.contextmanager
def _transports_own_errors(server: Where, known: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Have whatever else a transport raises while a connection is made come as an error of ours."""
    explained_elsewhere: tuple[type[BaseException], ...] = (*known, BrokerRefused, BrokerUnavailable)
    try:
        yield
    except explained_elsewhere:
        raise
    except Exception as error:
        raise unmade(error, server.shown, server.scheme) from error


class KombuLine(ABC):
    """One connection. See `Line`."""

    #: With which a queue is made.
    _arguments: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, address: str, mesh: str) -> None:
        """Prepare; nothing is connected.

        Args:
            address: As the setting `broker` holds it.
            mesh: Name of the mesh.
        """
        self.shown = broker_shown(address)
        self._prefix = prefix_of(mesh)
        servers = [where(each) for each in addresses_of(address)]
        self._server_count = len(servers)
        self._server = servers[0]
        self._servers = cycle(servers)
        self._connection: Any = None
        self._errors = _ERRORS
        self._forget()

    def _forget(self) -> None:
        """Forget what belongs to one connection."""
        self._publishing: Any = None
        self._asking: Any = None
        self._hearing: Any = None
        self._consumer: Any = None

    # -- the connection -----------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as anybody knows."""
        return self._connection is not None

    @property
    @abstractmethod
    def beat_s(self) -> float:
        """How often `beat` is to be called at least."""

    @abstractmethod
    def beat(self) -> None:
        """Say that this side lives, and look whether the other does."""

    def connect(self) -> None:
        """Connect to the first server that lets us, unless it is connected."""
        if self.is_open:
            return
        for left in reversed(range(self._server_count)):
            self._server = next(self._servers)
            try:
                self._connect(self._server)
            except (BrokerRefused, BrokerUnavailable):
                if not left:
                    raise
            else:
                return

    def _connect(self, server: Where) -> None:
        self._forget()
        with self._explaining(connecting=True), _transports_own_errors(server, _ERRORS):
            connection = Connection(**server.arguments)
            errors = (*connection.connection_errors, *connection.channel_errors)
            if not all(isinstance(error, type) for error in errors):
                raise TypeError("its library is not there")  # kombu has None in its place
            self._errors = (*_ERRORS, *errors)
        with self._explaining(connecting=True), _transports_own_errors(server, self._errors):
            connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            self._begin(connection)

    def _begin(self, connection: Any) -> None:
        """Go on with a connection that was made."""
        self._connection = connection

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
            server = self._server
            ours = explained(
                error, server.shown, user=server.user, vhost=server.vhost, at=at, connecting=connecting
            )
            self.close()
            raise ours from error
        except (BrokerRefused, BrokerUnavailable):
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, within a second."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # one that is broken says so once more, in many ways
            with contextlib.suppress(*self._errors, AttributeError):
                self._take_leave()
                connection.release()
        self._forget()

    @abstractmethod
    def _take_leave(self) -> None:
        """Do what has to be done before a connection is closed."""

    def abandon(self) -> None:
        """Forget a connection of the process from which this one was forked, without a word to the broker."""
        self._connection = None
        self._forget()

    def _channel(self) -> Any:
        return self._connection.channel()

    # -- queues -------------------------------------------------------------------

    def _name(self, queue: str) -> str:
        return self._prefix + queue

    def declare(self, queues: Sequence[str]) -> None:
        """Make queues, unless they are there."""
        for queue in queues:
            name = self._name(queue)
            # some transports look for their library only now
            with self._explaining(name), _transports_own_errors(self._server, self._errors):
                try:
                    self._asking_channel().queue_declare(
                        name, durable=True, auto_delete=False, arguments=self._arguments
                    )
                except self._connection.channel_errors as error:
                    if code_of(error) != ACCESS_REFUSED or not self._is_there(name):
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
                if code_of(error) == NOT_FOUND:
                    return 0
                raise

    def _asking_channel(self) -> Any:
        if self._asking is None:
            self._asking = self._channel()
        return self._asking

    # -- callers ------------------------------------------------------------------

    @abstractmethod
    def publish(self, counts: Mapping[str, int]) -> None:
        """Send so many tickets for each queue, and return when the broker has them all."""

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
                self._hearing = self._hearing_channel()
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

    def _hearing_channel(self) -> Any:
        return self._channel()

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

    @abstractmethod
    def wait(self, timeout_s: float, wakeup: int) -> None:
        """Wait until something comes, but no longer than a while, or until a descriptor can be read."""
