"""Where the nodes of a mesh are, and with which keys one speaks with them: as its settings say."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

from taskmesh.config import Settings
from taskmesh.errors import ConfigError
from taskmesh.nodes import private_nodes

if TYPE_CHECKING:
    from taskmesh.codec.keyring import Keyring
    from taskmesh.nodes.address import NodeAddress
    from taskmesh.nodes.embedded_private import PrivateNode

_all: weakref.WeakSet[Whereabouts] = weakref.WeakSet()


class Whereabouts:
    """Where the nodes of one mesh are: servers of the user's own, or embedded ones that are started when needed.

    Attributes:
        private: The private nodes of this process, while they run.
    """

    def __init__(self, mesh: str, settings: Settings) -> None:
        """Prepare; nothing is started yet.

        Args:
            mesh: Name of the mesh.
            settings: Its settings.
        """
        self.private: tuple[PrivateNode, ...] = ()
        self._mesh = mesh
        self._settings = settings
        self._starting = threading.RLock()
        _all.add(self)

    def address(self) -> NodeAddress:
        """Return where the first node is; starts embedded ones that do not run."""
        return self.addresses()[0]

    def addresses(self) -> tuple[NodeAddress, ...]:
        """Return where the nodes are, of several in the order in which they were named; starts embedded ones.

        Raises:
            ConfigError: There are fewer nodes than copies are asked for; or, of embedded ones, see `ensure_all`.
            NodeUnavailable: No embedded node could be started.
        """
        from taskmesh.config.nodes import copies  # costs urllib, and most imports of an app need no node

        found = self._found()
        try:
            copies(self._settings.replicas, len(found))
        except ValueError as error:
            source = self._settings.source_of("replicas")
            raise ConfigError(
                f"setting replicas = {self._settings.replicas} ({source}): {error}", setting="replicas"
            ) from error
        return found

    def _found(self) -> tuple[NodeAddress, ...]:
        from taskmesh.nodes.address import NodeAddress

        if self._settings.nodes:
            return tuple(map(NodeAddress, self._settings.nodes))
        if self._is_private:
            return tuple(NodeAddress(f"unix://{socket}") for socket in self._private_sockets())
        from taskmesh.nodes.embedded_several import places_of

        self._ensure_shared()
        return tuple(
            NodeAddress(f"unix://{paths.socket}", embedded=self._mesh) for paths in places_of(self._mesh)
        )

    def ensure(self) -> None:
        """See to it that the shared embedded nodes run, if the mesh uses them."""
        if not self._settings.nodes and not self._is_private:
            self._ensure_shared()

    def ensure_at(self, address: NodeAddress) -> None:
        """See to it that the node at an address runs, if it is a shared embedded one; of several the others wait."""
        if address.embedded:
            from taskmesh.nodes.embedded import ensure_at

            ensure_at(self._mesh, address.url.removeprefix("unix://"), durability=self._asked_durability)

    def _ensure_shared(self) -> None:
        from taskmesh.nodes.embedded import ensure_all

        ensure_all(self._mesh, self._settings.embedded_nodes, durability=self._asked_durability)

    def keyring(self) -> Keyring:
        """Return the keys of the mesh.

        Raises:
            ConfigError: The node is beyond this machine and no key is given.
        """
        from taskmesh.nodes.keyfile import load_keyring

        settings = self._settings
        are_local = all(address.is_local for address in self.addresses())
        return load_keyring(settings.key, settings.key_file, os.environ, allow_create=are_local)

    def leave_private(self) -> tuple[PrivateNode, ...]:
        """Return the private nodes that run, for the caller to close; the next ones asked for are others."""
        with self._starting:
            private, self.private = self.private, ()
            if private:
                private_nodes.withdraw(self._mesh, [node.socket_path for node in private])
        return private

    @property
    def _is_private(self) -> bool:
        """Whether the embedded node is a private one, as it is where the parent process offers its own.

        The parent may have moved the mesh (the fixtures do), whatever the app says here.
        """
        return self._settings.embedded == "private" or bool(private_nodes.inherited(self._mesh))

    @property
    def _asked_durability(self) -> Literal["process", "disk", "memory"] | None:
        """What somebody asked for; None leaves it to the kind of embedded node."""
        settings = self._settings
        return None if settings.source_of("durability") == "default" else settings.durability

    def _private_sockets(self) -> tuple[str, ...]:
        with self._starting:
            if not self.private:
                inherited = private_nodes.inherited(self._mesh)
                if inherited:
                    return inherited
                self.private = self._start_private(self._settings.embedded_nodes or 1)
                private_nodes.offer(self._mesh, [node.socket_path for node in self.private])
            return tuple(node.socket_path for node in self.private)

    def _start_private(self, nodes: int) -> tuple[PrivateNode, ...]:
        from taskmesh.nodes.embedded_private import start_private

        # Of several, one that is killed should come back with what it had.
        durability = self._asked_durability or ("memory" if nodes == 1 else "process")
        with ExitStack() as started:
            made = [
                started.enter_context(start_private(self._mesh, durability=durability, nodes=nodes))
                for _ in range(nodes)
            ]
            started.pop_all()
        return tuple(made)

    def _forked(self) -> None:
        self._starting = threading.RLock()  # a thread that does not exist here may hold it


def _after_fork() -> None:
    for whereabouts in list(_all):
        whereabouts._forked()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_after_fork)
