"""A broker by kombu: RabbitMQ, `memory://`, and what else it has a transport for."""

from __future__ import annotations

from functools import partial

from taskmesh.broker.kombu_amqp import AmqpLine
from taskmesh.broker.kombu_polled import PolledLine
from taskmesh.broker.over_lines import LineBroker
from taskmesh.config.brokers import AMQP, broker_shown, scheme_of


class KombuBroker(LineBroker):
    """A broker that kombu speaks to."""

    def __init__(self, address: str, mesh: str) -> None:
        """Prepare; nothing is connected.

        Args:
            address: As the setting `broker` holds it; several servers are of one kind.
            mesh: Name of the mesh; its queues begin with `taskmesh.NAME.`.
        """
        line = AmqpLine if scheme_of(address) in AMQP else PolledLine
        super().__init__(partial(line, address, mesh), broker_shown(address))
