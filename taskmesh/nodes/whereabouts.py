"""Where the node of a mesh is, and with which keys one speaks with it: as its settings say."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Literal

from taskmesh.config import Settings
from taskmesh.nodes import private_nodes

if TYPE_CHECKING:
    from taskmesh.codec.keyring import Keyring
    from taskmesh.nodes.address import NodeAddress
    from taskmesh.nodes.embedded_private import PrivateNode

_all: weakref.WeakSet[Whereabouts] = weakref.WeakSet()


class Whereabouts:
    """Where the node of one mesh is: a server of the user's own, or an embedded one that is started when needed.

    Attributes:
        private: The private node of this process, while it runs.
    """

    def __init__(self, mesh: str, settings: Settings) -> None:
        """Prepare; nothing is started yet.

        Args:
            mesh: Name of the mesh.
            settings: Its settings.
        """
        self.private: PrivateNode | None = None
        self._mesh = mesh
        self._settings = settings
        self._starting = threading.RLock()
        _all.add(self)

    def address(self) -> NodeAddress:
        """Return where the node is; starts the embedded one if it does not run."""
        from taskmesh.nodes.address import NodeAddress

        if self._settings.nodes:
            return NodeAddress(self._settings.nodes[0])
        if self._is_private:
            return NodeAddress(f"unix://{self._private_socket()}")
        from taskmesh.nodes.embedded import ensure_running

        return NodeAddress(
            f"unix://{ensure_running(self._mesh, durability=self._asked_durability).socket_path}",
            embedded=self._mesh,
        )

    def ensure(self) -> None:
        """See to it that the shared embedded node runs, if the mesh uses it."""
        if not self._settings.nodes and not self._is_private:
            from taskmesh.nodes.embedded import ensure_running

            ensure_running(self._mesh, durability=self._asked_durability)

    def keyring(self) -> Keyring:
        """Return the keys of the mesh.

        Raises:
            ConfigError: The node is beyond this machine and no key is given.
        """
        from taskmesh.nodes.keyfile import load_keyring

        settings = self._settings
        return load_keyring(settings.key, settings.key_file, os.environ, allow_create=self.address().is_local)

    def leave_private(self) -> PrivateNode | None:
        """Return the private node that runs, for the caller to close; the next one asked for is another."""
        with self._starting:
            private, self.private = self.private, None
            if private is not None:
                private_nodes.withdraw(self._mesh, private.socket_path)
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

    def _private_socket(self) -> str:
        with self._starting:
            if self.private is None:
                inherited = private_nodes.inherited(self._mesh)
                if inherited:
                    return inherited
                from taskmesh.nodes.embedded_private import start_private

                self.private = start_private(self._mesh, durability=self._asked_durability or "memory")
                private_nodes.offer(self._mesh, self.private.socket_path)
            return self.private.socket_path

    def _forked(self) -> None:
        self._starting = threading.RLock()  # a thread that does not exist here may hold it


def _after_fork() -> None:
    for whereabouts in list(_all):
        whereabouts._forked()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_after_fork)
