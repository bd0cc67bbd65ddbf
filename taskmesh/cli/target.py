"""Which mesh a command is about: `-A`, `--mesh`, TASKMESH_APP or the settings file."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.app_path import current_folder, located
from taskmesh.cli.failure import EXIT_FAILURE, EXIT_USAGE, Failure
from taskmesh.cli.node_remedy import remedy
from taskmesh.cli.output import say
from taskmesh.config.settings import app_setting, check_mesh_name
from taskmesh.core import keys
from taskmesh.core.steps import Steps
from taskmesh.errors import NodeUnavailable, TaskMeshError
from taskmesh.nodes import embedded, private_nodes
from taskmesh.nodes.embedded_paths import paths_of
from taskmesh.nodes.sync_driver import ANEW
from taskmesh.replication.ask import plain
from taskmesh.replication.pin import pin
from taskmesh.replication.seek import seek_view
from taskmesh.worker.locate import load_app

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link

HOW = "give -A module:attribute, or set TASKMESH_APP, or `app` in taskmesh.toml or [tool.taskmesh]"


@dataclass(frozen=True, slots=True)
class Target:
    """What was said about the mesh.

    Attributes:
        app: `module:attribute` or a file; empty if not given.
        mesh: A name; empty if not given.
        path: Folders to import the app from, in front of the others.
        folder: What the app is relative to; empty for the current folder.
    """

    app: str = ""
    mesh: str = ""
    path: tuple[str, ...] = ()
    folder: str = ""

    @property
    def is_given(self) -> bool:
        """Whether anything was said."""
        return bool(self.app or self.mesh)

    def load(self) -> TaskMesh:
        """Return the mesh; nothing is started or connected yet.

        Raises:
            Failure: Nothing was said, or importing the app failed: its own traceback is shown.
            TaskMeshError: There is no such app, or a setting is wrong.
        """
        if self.app:
            return load(self.app, self.path, self.folder)
        if self.mesh:
            return TaskMesh(check_mesh_name(self.mesh))
        raise Failure(f"which mesh? {HOW}, or give --mesh NAME{_running()}", EXIT_USAGE)

    def worker_command(self, mesh: str, queue: str = "") -> str:
        """Return the command that starts a worker of this mesh, as advice.

        Args:
            mesh: Its name.
            queue: What the worker should serve; empty for the default queue.
        """
        options = f" -Q {queue}" if queue else ""
        if self.folder:
            return f"taskmesh worker{options}"  # it finds the app where this command found it
        if self.app:
            place = "".join(f" --path {folder}" for folder in self.path)
            return f"taskmesh worker {self.app}{place}{options}"
        return f"taskmesh worker APP{options} (or --mesh {mesh} in place of APP, for functions sent by value only)"

    def advise(self, mesh: TaskMesh) -> None:
        """Have a wait in vain end with the advice to start a worker of the very app that this command was given."""
        mesh.portal.worker_command = functools.partial(self.worker_command, mesh.name)

    def look(self) -> TaskMesh:
        """As `open`, for a command that only looks: where nothing was said, the one that runs here is meant."""
        if not self.is_given:
            meshes = {node.mesh for node in embedded.running()}
            if len(meshes) == 1:
                (name,) = meshes
                say(f"no app is given; this is mesh {name}, the only one that runs here")
                return Target(mesh=name).open()
        return self.open()

    def open(self) -> TaskMesh:
        """Return the mesh with its link open; it is closed at the end of the command.

        A mesh that was named is only looked at: a name misspelled must not make a new one.

        Raises:
            Failure, TaskMeshError: As `load`; or there is no such mesh, or its node cannot be reached.
        """
        mesh = self.load()
        click.get_current_context().call_on_close(mesh.close)
        self.reach(mesh)
        return mesh

    def reach(self, mesh: TaskMesh) -> None:
        """Open the link of the mesh; may be tried again when its node was away.

        Args:
            mesh: As `load` has returned it.

        Raises:
            Failure, TaskMeshError: As `open`; what a Failure came from says whether waiting is of use.
        """
        refuse_private(mesh)
        try:
            if not self.app:
                self._check_exists(mesh)
            if is_shared(mesh):
                _have_node(mesh)
            mesh.link.open()
        except NodeUnavailable as error:
            if ANEW in str(error):
                raise  # it says itself who admits the server
            raise Failure(f"{str(error).rstrip('.')}; {remedy(mesh, _away(error))}") from error

    def _check_exists(self, mesh: TaskMesh) -> None:
        if is_shared(mesh):
            if not Path(paths_of(mesh.name).generation).exists():
                raise Failure(
                    f"mesh {mesh.name!r} has no embedded node on this machine: nothing was ever sent to it"
                    f"{_running()}; a worker starts one: {self.worker_command(mesh.name)}"
                )
            return
        if not is_made(mesh.link):
            nodes = ", ".join(map(str, mesh.addresses()))
            raise Failure(f"there is no mesh {mesh.name!r} on {nodes}: nothing was ever sent to it")

    def open_app(self) -> TaskMesh:
        """As `open`, for a command that needs the tasks: a name alone does not do."""
        if not self.app:
            raise Failure(f"which app? {HOW}", EXIT_USAGE)
        return self.open()


def target_options(*, mesh: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command `-A`, `--path` and `--mesh`, and pass what they say as `target`.

    Args:
        mesh: Whether a name serves as well as an app.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapper(*, app: str | None, path: tuple[str, ...], mesh: str | None = None, **given: Any) -> None:
            function(target=chosen(app, mesh, path), **given)

        decorated = path_option(wrapper)
        if mesh:
            decorated = click.option(
                "--mesh", metavar="NAME", help="Name of the mesh, where there is no app to import."
            )(decorated)
        return app_option(decorated)

    return decorate


def app_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command `-A`."""
    return click.option(
        "-A",
        "--app",
        metavar="APP",
        help="The app: module:attribute, or a file such as app.py.  [default: TASKMESH_APP, settings file]",
    )(function)


def path_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--path`."""
    return click.option(
        "--path",
        multiple=True,
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, resolve_path=True),
        help="Import the app from this folder; may be repeated.  [default: the current one]",
    )(function)


def chosen(app: str | None, mesh: str | None, path: tuple[str, ...] = ()) -> Target:
    """Return the target of a command: its own options first, then what surrounds it.

    Raises:
        UsageError: Both an app and a mesh are given.
        ConfigError: The settings file is wrong.
    """
    app = app or click.get_current_context().find_root().params.get("app")
    if app and mesh:
        raise click.UsageError("give either an app (-A) or the name of a mesh (--mesh), not both")
    if mesh or app:
        return Target(app=app or "", mesh=mesh or "", path=path)
    found = app_setting(os.environ, ".")
    return Target(app=found.app, path=path, folder=found.folder) if found else Target(path=path)


def load(app: str, path: tuple[str, ...] = (), folder: str = "") -> TaskMesh:
    """Import an app; what it prints goes to stderr, since stdout is the command's.

    Raises:
        AppNotFound: There is no such module or attribute, or it is no TaskMesh.
        Failure: The import raised something; the app's own traceback is shown.
    """
    name, around = located(app, current_folder(), Path(folder) if folder else None)
    for place in reversed([*path, *around]):
        if place not in sys.path:
            sys.path.insert(0, place)
    try:
        with redirect_stdout(sys.stderr):
            return load_app(name, TaskMesh)
    except TaskMeshError:
        raise
    except (Exception, SystemExit) as error:
        shown = "".join(traceback.format_exception(type(error), error, _own_part(error.__traceback__)))
        raise Failure(f"importing {app!r} failed:\n{shown.rstrip()}", EXIT_FAILURE) from error


def _own_part(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that lies in the app: what led there says nothing to its author."""
    ours = str(Path(__file__).parent.parent)
    part = trace
    while part is not None:
        file = part.tb_frame.f_code.co_filename
        if not file.startswith((ours, "<frozen importlib")) and "importlib" not in Path(file).parts:
            return part
        part = part.tb_next
    return trace


def _away(error: NodeUnavailable) -> str:
    """Return the address of the node that is meant; empty where that is a mesh."""
    return error.node if "://" in error.node else ""


def refuse_private(mesh: TaskMesh) -> None:
    """Refuse a mesh on a private node that another process owns: nothing leads there.

    Raises:
        Failure: It is one.
    """
    is_private = not mesh.settings.nodes and mesh.settings.embedded == "private"
    if is_private and not private_nodes.inherited(mesh.name):
        raise Failure(
            f"mesh {mesh.name!r} has a private node (embedded='private'), which only the process that made it can "
            "use; leave embedded= out to share one",
            EXIT_USAGE,
        )


def is_made(link: Link) -> bool:
    """Tell whether there is a mesh where a link leads; none is made.

    Raises:
        NodeUnavailable: No node answers.
    """
    driver, several = link.driver, link.several  # the first finds out about the second
    if several is None:
        return bool(driver.run(_asking(link)))
    sought = several.driver.run(seek_view(link.prefix, tuple(several.seeds)))
    if sought.view is not None:
        return True
    if not sought.answered:
        raise NodeUnavailable(f"no node answers: {'; '.join(sought.failures)}", node=link.mesh)
    # one of them may hold the mesh by itself, and the others are new
    return any(several.driver.run(pin(_asking(link), node)) for node in sought.answered)


def _asking(link: Link) -> Steps[int]:
    return plain(link.session, b"EXISTS", keys.meta(link.prefix))


def is_shared(mesh: TaskMesh) -> bool:
    """Tell whether a mesh uses the shared embedded node of this account."""
    return not mesh.settings.nodes and mesh.settings.embedded == "shared"


def _have_node(mesh: TaskMesh) -> None:
    """Start the embedded node if it does not run, as it was started last unless somebody asks for something else.

    Of a mesh that is only named it is not known what its app asks for: and whoever looks at the results of a node
    that ended for want of use must not change how it keeps its data.
    """
    ran = Path(paths_of(mesh.name).socket).exists()
    asked = None if mesh.settings.source_of("durability") == "default" else mesh.settings.durability
    nodes = embedded.ensure_all(
        mesh.name, mesh.settings.embedded_nodes, durability=asked or embedded.last_durability(mesh.name)
    )
    if not ran:
        say(
            f"started {embedded.called(mesh.name, len(nodes))}, which did not run (durability={nodes[0].durability})"
        )


def _running() -> str:
    names = ", ".join(dict.fromkeys(node.mesh for node in embedded.running()))
    return f" (embedded meshes that run here: {names})" if names else ""
