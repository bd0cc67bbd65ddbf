"""What a process believes of a mesh of several nodes: its view, which only ever gets newer."""

from __future__ import annotations

from collections.abc import Callable

from taskmesh.core.steps import Session
from taskmesh.replication.view import View


class Standing:
    """The view as a process knows it.

    Attributes:
        view: The newest that was heard of; never assumed, always told by a node or by the register.
        session: The mesh's session, whose epoch follows the view.
        home: The node that was the only one when this process joined the mesh, if it was: what is about one node's own
            things, and names none, goes there. Empty otherwise.
    """

    def __init__(
        self,
        view: View,
        session: Session,
        on_new: Callable[[View], None] = lambda _view: None,
        *,
        home: str = "",
    ) -> None:
        """Begin with a view.

        Args:
            view: As a node or the register told it.
            session: Of the mesh.
            on_new: Called with each newer view; by any thread.
            home: The node that was the only one.
        """
        self.view = view
        self.session = session
        self.home = home
        self._on_new = on_new
        session.epoch = view.epoch
        session.slots = view.slots

    def take(self, view: View) -> bool:
        """Take over a view if it is newer, and tell whether it is."""
        if view.number <= self.view.number:
            return False
        self.view = view
        self.session.epoch = view.epoch
        self._on_new(view)
        return True
