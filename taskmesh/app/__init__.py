"""The app object: what a user makes, decorates with and calls. It wires the parts together and decides nothing.

May import all rooms but `cli` and `testing`. Read `mesh` first: it names the groups of methods, one file for each, then
`wiring`, on which they stand. A new group derives from `Wiring` and joins the bases of `TaskMesh`.
"""

from taskmesh.app.mesh import TaskMesh

__all__ = ["TaskMesh"]
