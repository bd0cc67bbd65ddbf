"""What starting workers needs of the app object, so that this room need not know `app`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from taskmesh.codec.keyring import Keyring
from taskmesh.config import Settings
from taskmesh.core.hooks import Hooks
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.link import Link


class Host(Protocol):
    """The app object, as seen from below."""

    @property
    def name(self) -> str:
        """Name of the mesh."""

    @property
    def made_in(self) -> str:
        """Name of the module that made it."""

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Tasks by name."""

    @property
    def settings(self) -> Settings:
        """Its settings."""

    @property
    def link(self) -> Link:
        """This process's link to the mesh."""

    def addresses(self) -> tuple[NodeAddress, ...]:
        """Return where the nodes are; starts embedded ones that do not run."""

    def address(self) -> NodeAddress:
        """Return where the node is."""

    def keyring(self) -> Keyring:
        """Return the keys."""


class App(Host, Protocol):
    """The app object, as a template and its children see it."""

    def __init__(self, name: str, **settings: Any) -> None:
        """Make the app of a mesh that has no tasks of its own."""

    def import_tasks(self, *modules: str) -> None:
        """Import the modules of tasks beside that of the app, and these."""

    def declared_schedules(self) -> tuple[bytes, ...]:
        """Return what the app's code says of schedules, packed."""

    def use_broker(self, address: str) -> None:
        """Live with another broker than the settings name."""

    def finish_announcing(self) -> None:
        """Give a broker a moment to take what is unsent."""

    @property
    def hooks(self) -> Hooks:
        """What is called when workers and tasks begin and end."""
