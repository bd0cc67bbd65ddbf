"""What tasks and handles need of the app object, so that this room need not know `app`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from taskmesh.config import Settings
from taskmesh.core.hooks import Hooks

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.client.spans import SendSpans


class Host(Protocol):
    """The app object, as seen from below."""

    @property
    def name(self) -> str:
        """Name of the mesh."""

    @property
    def settings(self) -> Settings:
        """Its settings."""

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Its tasks by name."""

    @property
    def hooks(self) -> Hooks:
        """What is called when tasks begin and end."""

    @property
    def eager(self) -> bool:
        """Whether tasks run inline."""

    #: Makes spans of what is sent; None if nobody traces.
    spans: SendSpans | None

    @property
    def portal(self) -> Portal:
        """What its handles share."""
