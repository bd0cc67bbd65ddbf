"""The parts of a mesh in this process, each imported and made when it is first needed, and handed to the others."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from taskmesh.client.discovery import Discovery
from taskmesh.client.task import Task
from taskmesh.config import Settings
from taskmesh.core.hooks import Hooks
from taskmesh.nodes.whereabouts import Whereabouts

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker
    from taskmesh.client.coordinator import Coordinator
    from taskmesh.client.portal import Portal
    from taskmesh.client.spans import SendSpans
    from taskmesh.codec.keyring import Keyring
    from taskmesh.nodes.address import NodeAddress
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.embedded_private import PrivateNode
    from taskmesh.nodes.link import Link

_wiring = threading.RLock()
#: How long the end of a process waits for a broker. What it does not take by then, the leader sees on the nodes.
FLUSH_S = 1.5


def _forked() -> None:
    global _wiring  # noqa: PLW0603 - a thread that does not exist here may hold it
    _wiring = threading.RLock()


os.register_at_fork(after_in_child=_forked)


class Wiring:
    """What every group of a mesh's methods stands on.

    Attributes:
        name: Name of the mesh.
        made_in: Name of the module that made it.
        settings: Every setting, with its source.
        hooks: What is called when workers and tasks begin and end.
        tasks: The tasks of this process by name.
        spans: Makes spans of what is sent; None if nobody traces.
    """

    made_in: str

    def __init__(self, name: str, settings: Settings) -> None:
        """Note what the parts will need. Nothing is started or connected until it is used."""
        self.name = name
        self.settings = settings
        self.tasks: dict[str, Task[..., Any]] = {}
        self.hooks = Hooks()
        self.spans: SendSpans | None = None
        self._discovery = Discovery(settings.include)
        self._node = Whereabouts(name, settings)
        self._portal: Portal | None = None
        self._link: Link | None = None
        self._agreement: Agreement | None = None
        self._coordinator: Coordinator | None = None
        self._broker: Broker | None = None

    @property
    def eager(self) -> bool:
        """Whether tasks run inline, in the caller."""
        return self.settings.eager

    @property
    def portal(self) -> Portal:
        """What the handles of this mesh share in this process."""
        portal = self._portal
        if portal is None:
            with _wiring:
                portal = self._portal = self._portal or self._make_portal()
        return portal

    def _make_portal(self) -> Portal:
        from taskmesh.client.portal import Portal

        return Portal(self.link, self.settings, worker_command=self._worker_command, broker=self.broker)

    def _worker_command(self, queue: str) -> str:
        from taskmesh.worker.locate import worker_command

        has_names = any(not task.by_value for task in self.tasks.values())
        included = self.settings.include
        return worker_command(self, self.name, queue, has_names=has_names, included=included)

    @property
    def link(self) -> Link:
        """This process's link to the mesh."""
        link = self._link
        if link is None:
            with _wiring:
                link = self._link = self._link or self._make_link()
        return link

    def _make_link(self) -> Link:
        from taskmesh.nodes.link import Link

        return Link(
            self.name,
            self.addresses,
            self.keyring,
            slots=self.settings.slots,
            connect_timeout_s=self.settings.connect_timeout,
            patience_s=self.settings.send_timeout,
            before_connect=self._node.ensure,
            before_each=self._node.ensure_at,
            replicas=self.settings.replicas,
            acceptors=self.settings.acceptors,
            durability=self.settings.asked_of_servers,
        )

    @property
    def agreement(self) -> Agreement:
        """This process's way to the registers of the mesh: what its acceptors agreed upon."""
        agreement = self._agreement
        if agreement is None:
            with _wiring:
                agreement = self._agreement = self._agreement or self._make_agreement()
        return agreement

    def _make_agreement(self) -> Agreement:
        from taskmesh.nodes.address import NodeAddress
        from taskmesh.nodes.agreement import Agreement

        return Agreement(self.link, tuple(map(NodeAddress, self.settings.acceptors)))

    @property
    def coordinator(self) -> Coordinator:
        """What locks, elections and files of this mesh share in this process."""
        coordinator = self._coordinator
        if coordinator is None:
            with _wiring:
                coordinator = self._coordinator = self._coordinator or self._make_coordinator()
        return coordinator

    def _make_coordinator(self) -> Coordinator:
        from taskmesh.client.coordinator import Coordinator

        return Coordinator(self.agreement, self.link)

    @property
    def broker(self) -> Broker | None:
        """Who tells workers which queues have work; None where the nodes of the mesh do.

        Raises:
            BrokerRefused: It cannot be imported.
        """
        address = self.settings.broker
        if address is None:
            return None
        if self._broker is None:
            with _wiring:
                self._broker = self._broker or self._make_broker(address)
        return self._broker

    def _make_broker(self, address: str) -> Broker:
        from taskmesh.broker.named import make_broker

        return make_broker(address, self.name)

    def use_broker(self, address: str) -> None:
        """Live with another broker than the settings name, from now on: what `-b` of the commands does.

        Args:
            address: As the setting `broker` takes it.

        Raises:
            ConfigError: It is none.
        """
        with _wiring:
            before, self._broker = self._broker, None
            self.settings = self.settings.with_broker(address)
            if self._portal is not None:
                self._portal.sender.broker = self.broker
        if before is not None:
            before.close()

    def finish_announcing(self) -> None:
        """Give a broker a moment to take what is unsent: for the end of a process."""
        if self._broker is not None:
            self._broker.flush(FLUSH_S)

    def address(self) -> NodeAddress:
        """Return where the first node is; starts embedded ones that do not run."""
        return self._node.address()

    def addresses(self) -> tuple[NodeAddress, ...]:
        """Return where the nodes are; starts embedded ones that do not run."""
        return self._node.addresses()

    @property
    def private_nodes(self) -> tuple[PrivateNode, ...]:
        """The private nodes of this process, while they run: tests kill one of several."""
        return self._node.private

    def keyring(self) -> Keyring:
        """Return the keys of the mesh.

        Raises:
            ConfigError: The node is beyond this machine and no key is given.
        """
        return self._node.keyring()

    @property
    def app_path(self) -> str:
        """Where others import this mesh from, `module:attribute`; empty if they cannot."""
        from taskmesh.worker.locate import path_of

        return path_of(self)

    def _rewire(self, settings: Settings) -> None:
        """Live by other settings from now on. What stood on the former ones is closed; tasks and hooks stay."""
        self.close()
        with _wiring:
            portal, self._portal, self._link = self._portal, None, None
            self._broker = None
            self.settings = settings
            self._node = Whereabouts(self.name, settings)
        if portal is not None:
            portal.end(f"mesh {self.name!r} has moved to another node")

    def close(self) -> None:
        """Close connections, and end private nodes if there are any. The mesh can be used again."""
        with _wiring:
            coordinator = self._coordinator
        if coordinator is not None:
            # what it gives back goes through the rest
            coordinator.close()
        if self._broker is not None:
            self._broker.close()
        with _wiring:
            private = self._node.leave_private()
            portal, link, agreement = self._portal, self._link, self._agreement
            if private:
                # handles of before refer to a node that is gone: what comes is wired anew
                self._portal = self._link = None
                self._coordinator = self._agreement = None
        if portal is not None:
            if private:
                portal.end(f"the private node of mesh {self.name!r} was closed")
            portal.inbox.close()
        if agreement is not None:
            agreement.close()
        if link is not None:
            link.close()
        for node in private:
            node.close()
