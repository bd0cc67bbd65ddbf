"""Where the embedded nodes of a mesh stand when it has several of them on one machine.

The first stands in the mesh's own folder, as the only one does; the others in folders within that, `node-2`,
`node-3` and so on. The file `nodes` in the mesh's folder names them, one a line, the first as `.`; it is written
when the mesh is made, before any of them is started. Where it is missing, there is one.

Nothing else tells a process that there are several: whoever knows the name of the mesh finds all of them.
"""

from __future__ import annotations

import os
from pathlib import Path

from taskmesh.errors import ConfigError
from taskmesh.nodes.embedded_files import (
    NodePaths,
    is_locked,
    open_lock,
    read_small,
    take_lock,
    unlock,
    write_whole,
)
from taskmesh.nodes.embedded_paths import make_folders, paths_of, placed

_LIST = "nodes"
_FIRST = "."


def places_of(mesh: str) -> tuple[NodePaths, ...]:
    """Return where each embedded node of this mesh keeps its files, the first one first; makes nothing.

    Raises:
        ConfigError: The name cannot be one of a mesh, or the list of its nodes cannot be read.
    """
    return places_in(paths_of(mesh).state)


def places_in(state: str) -> tuple[NodePaths, ...]:
    """As `places_of`, of the mesh whose folder this is."""
    path = Path(state, _LIST)
    try:
        content = read_small(str(path))
    except NotADirectoryError:
        content = None  # whoever makes the folder says what is wrong
    if content is None:
        return (placed(state),)
    names = content.decode("ascii", "replace").split()
    expected = [_FIRST, *map(_folder, range(2, len(names) + 1))]
    if names != expected or len(names) < 2:
        raise ConfigError(
            f"{path} should name the folders of the mesh's nodes, . node-2 and so on, and holds "
            f"{content[:80]!r}: put it right, one name a line"
        )
    return tuple(placed(str(Path(state, name))) for name in names)


def settled(mesh: str, count: int | None) -> tuple[NodePaths, ...]:
    """Return where the nodes of this mesh are, once it is settled how many there are.

    Args:
        mesh: Its name.
        count: How many it should have; None for as many as it was made with, one for a new mesh.

    Raises:
        ConfigError: The mesh was made with another number, or its folder cannot be written.
    """
    places = places_of(mesh)
    if count is None or count == len(places):
        return places
    if _is_new(places[0]):
        places = _make(mesh, count)
    if count != len(places):
        raise ConfigError(_refusal(mesh, len(places), count), setting="embedded_nodes", value=count)
    return places


def _make(mesh: str, count: int) -> tuple[NodePaths, ...]:
    """Write down that a mesh has so many nodes, unless somebody made it meanwhile."""
    first = paths_of(mesh)
    make_folders(first)
    lock = open_lock(first.start_lock)
    try:
        take_lock(lock)
        places = places_of(mesh)
        if len(places) == 1 and _is_new(first):
            names = [_FIRST, *map(_folder, range(2, count + 1))]
            content = "".join(f"{name}\n" for name in names).encode()
            write_whole(str(Path(first.state, _LIST)), content, durable=True)
            places = places_of(mesh)
    except OSError as error:
        raise ConfigError(f"cannot write into {first.state}: {error.strerror}") from error
    finally:
        unlock(lock)
    return places


def _is_new(first: NodePaths) -> bool:
    """Say whether no node of the mesh was ever started, nor is being started now."""
    return not os.path.exists(first.generation) and not is_locked(first.guardian_lock)  # noqa: PTH110 - a str


def _folder(number: int) -> str:
    return f"node-{number}"


def _refusal(mesh: str, made_with: int, asked: int) -> str:
    kept = "one embedded node" if made_with == 1 else f"{made_with} embedded nodes"
    why = "what stands on the others would be lost" if made_with > asked else "its messages stand there"
    return (
        f"mesh {mesh!r} was made with {kept} on this machine, and {asked} "
        f"{'is' if asked == 1 else 'are'} asked for: {why}. Leave the number out to use what there is; or begin anew, "
        f"without its messages (taskmesh down --mesh {mesh} --delete)"
    )
