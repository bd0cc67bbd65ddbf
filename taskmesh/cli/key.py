"""`taskmesh key`: the key that signs everything, and how to change it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.failure import EXIT_USAGE, Failure
from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.key_place import key_place
from taskmesh.cli.output import json_option, print_json, say, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.codec.keyring import Key, Keyring
from taskmesh.core.steps import Steps
from taskmesh.errors import ConfigError, NodeFault
from taskmesh.nodes.keyfile import write_key_file
from taskmesh.replication.accept import accept_key, refuse_key

ROTATION = """A rotation has three steps, so that at no moment anything is signed with a key that its reader lacks.

\b
1. taskmesh key rotate
   Puts a new key into the key file as `accepted`: known, not used yet.
   With -A or --mesh the mesh accepts it as well. Copy the file to every
   machine, and restart workers and callers, in any order.
2. taskmesh key rotate --activate NEW
   Makes the new key the active one, which signs. The old one stays
   accepted. Copy and restart again.
3. taskmesh key retire OLD
   When nothing signed with the old key is left (its queues are drained,
   result_expires has passed): refuses it, in the file and in the mesh.
   Copy and restart.
"""


def _file_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="The key file.  [default: what the settings say, else this account's own]",
    )(function)


@click.group(cls=SuggestingGroup, help=f"Make the key that signs everything, and change it.\n\n{ROTATION}")
def key() -> None:
    """Hold the commands; the help stands above."""


@key.command(
    epilog=ending(
        examples=["taskmesh key new --out mesh.key", "TASKMESH_KEY_FILE=mesh.key taskmesh worker app:mesh"],
        codes=["0 made", "1 the file exists, or cannot be written"],
    )
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a key file that only you can read.",
)
@json_option
def new(*, out: Path | None, json_wanted: bool) -> None:
    """Make a new random key.

    With --out in a key file, to be named by key_file= or TASKMESH_KEY_FILE; else its text is printed, secret included.
    A mesh on this machine makes a key of its own at first use and needs none of this. Machines that share a mesh share
    the key: whoever has it can make workers run code.
    """
    keyring = Keyring.new()
    name = keyring.active.name
    if out is None:
        if json_wanted:
            print_json({"id": name, "file": None, "text": keyring.dump()})
        else:
            click.echo(keyring.dump(), nl=False)
            say("this is a secret: keep it in a file that only you can read (chmod 600)")
        return
    try:
        _write(out, keyring)
    except FileExistsError as error:
        raise Failure(
            f"{out} exists, and is left as it is; `taskmesh key rotate --file {out}` adds a key"
        ) from error
    if json_wanted:
        print_json({"id": name, "file": str(out)})
    else:
        click.echo(f"{name}  {out}")


@key.command(
    "id",
    epilog=ending(
        examples=["taskmesh key id", "taskmesh key id -A app:mesh --json"],
        codes=["0 shown", "1 there is no key yet"],
    ),
)
@_file_option
@target_options()
@json_option
def id_command(*, file: Path | None, target: Target, json_wanted: bool) -> None:
    """Show the ids of the keys, and what each is for.

    The active key signs, accepted ones are read, retired ones refused. An id tells nothing about its secret. Two
    machines of one mesh must show the same ids.
    """
    place = key_place(target, file)
    keyring = place.read()
    rows = _rows(keyring)
    if json_wanted:
        print_json(
            {"active": keyring.active.name, "source": place.source, "file": place.file and str(place.file)}
            | {
                state: [name for name, its_state in rows if its_state == state]
                for state in ("accepted", "retired")
            }
        )
    else:
        show(table(f"keys of {place.file or place.source}", ["id", "state"], rows))


def _rows(keyring: Keyring) -> list[tuple[str, str]]:
    return [
        (keyring.active.name, "active"),
        *((each.name, "accepted") for each in keyring.accepted),
        *((each.name, "retired") for each in keyring.retired),
    ]


@key.command(
    help=f"Bring a new key into use, in two steps.\n\n{ROTATION}\n\nWithout -A or --mesh the file alone is changed; a "
    "mesh that exists already then refuses processes that sign with the new key, until this is run with it.",
    epilog=ending(
        examples=["taskmesh key rotate -A app:mesh", "taskmesh key rotate --activate 0a1b2c3d -A app:mesh"],
        codes=["0 done", "1 the file cannot be written, or the mesh does not accept the present key"],
    ),
)
@click.option("--activate", metavar="KEYID", help="Step 2: sign with this accepted key from now on.")
@_file_option
@target_options()
@json_option
def rotate(*, activate: str | None, file: Path | None, target: Target, json_wanted: bool) -> None:
    """Bring a new key into use, in two steps; the help stands above."""
    place = key_place(target, file)
    path = place.writable()
    before = place.read()
    after, new_id = _activated(before, activate) if activate else _with_accepted(before)
    # The mesh first: a key that nobody holds does no harm there, one that it refuses would shut everyone out.
    accepted = _in_mesh(
        target, before, lambda mesh: accept_key(mesh.link.session, new_id, by=before.active.name)
    )
    _write(path, after, replace=True)
    _report(after, path, accepted, json_wanted=json_wanted)
    if not json_wanted:
        say(
            f"key {new_id} signs from now on; copy {path} to every machine, restart workers and callers, then "
            f"`taskmesh key retire {before.active.name}` once nothing signed with that is left"
            if activate
            else f"key {new_id} is accepted and does not sign yet; copy {path} to every machine, restart workers "
            f"and callers, then `taskmesh key rotate --activate {new_id}`"
        )


def _with_accepted(keyring: Keyring) -> tuple[Keyring, str]:
    new_key = Key.new()
    return replace(keyring, accepted=(*keyring.accepted, new_key)), new_key.name


def _activated(keyring: Keyring, key_id: str) -> tuple[Keyring, str]:
    """Return the keyring that signs with an accepted key. A repeat changes nothing, and never goes back."""
    if key_id == keyring.active.name:
        return keyring, key_id
    found = next((each for each in keyring.accepted if each.name == key_id), None)
    if found is None:
        known = ", ".join(each.name for each in keyring.accepted) or "none"
        raise Failure(f"there is no accepted key {key_id!r} to activate (accepted: {known})", EXIT_USAGE)
    return keyring.with_new_key(found), key_id


@key.command(
    epilog=ending(
        examples=["taskmesh key retire 0a1b2c3d -A app:mesh"],
        codes=[
            "0 retired",
            "1 it is the active key or not known, the file cannot be written, or the mesh not reached",
        ],
    )
)
@click.argument("key_id", metavar="KEYID")
@_file_option
@target_options()
@json_option
def retire(*, key_id: str, file: Path | None, target: Target, json_wanted: bool) -> None:
    """Refuse a key from now on: the last step of a rotation.

    Whatever is still signed with it becomes a dead letter or cannot be read. With -A or --mesh, the mesh refuses
    processes that sign with it. `taskmesh key rotate --help` tells the steps before.
    """
    place = key_place(target, file)
    path = place.writable()
    before = place.read()
    after = _retired(before, key_id)
    accepted = _in_mesh(
        target, before, lambda mesh: refuse_key(mesh.link.session, key_id, by=before.active.name)
    )
    _write(path, after, replace=True)
    _report(after, path, accepted, json_wanted=json_wanted)
    if not json_wanted:
        say(
            f"key {key_id} is refused from now on; copy {path} to every machine, and restart workers and callers"
        )


def _retired(keyring: Keyring, key_id: str) -> Keyring:
    """Return the keyring that refuses a key. A repeat changes nothing."""
    if key_id in {each.name for each in keyring.retired}:
        return keyring
    try:
        return keyring.retire(key_id)
    except ConfigError as error:
        raise Failure(str(error)) from error


def _write(path: Path, keyring: Keyring, *, replace: bool = False) -> None:
    """As `write_key_file`; a place that cannot be written to is a failure, no wrong use of the command."""
    try:
        write_key_file(path, keyring, replace=replace)
    except ConfigError as error:
        raise Failure(str(error)) from error


def _in_mesh(
    target: Target, keyring: Keyring, steps: Callable[[TaskMesh], Steps[tuple[str, ...]]]
) -> tuple[str, ...] | None:
    """Change what the mesh accepts, where one is given; return the ids that it accepts then."""
    if not target.is_given:
        return None
    with closing(target.open()) as mesh:
        if mesh.link.key_id != keyring.active.name:
            raise Failure(
                f"mesh {mesh.name!r} is opened with key {mesh.link.key_id}, and the file signs with "
                f"{keyring.active.name}: name the file that its settings name"
            )
        try:
            return mesh.link.run(steps(mesh))
        except NodeFault as error:
            raise Failure(f"mesh {mesh.name!r} refuses the change: {error}") from error


def _report(keyring: Keyring, path: Path, accepted: Iterable[str] | None, *, json_wanted: bool) -> None:
    rows = _rows(keyring)
    if json_wanted:
        document: dict[str, Any] = {
            "file": str(path),
            "keys": [{"id": name, "state": state} for name, state in rows],
        }
        print_json(document | {"accepted_by_mesh": None if accepted is None else list(accepted)})
        return
    show(table(f"keys of {path}", ["id", "state"], rows))
    if accepted is not None:
        click.echo(f"the mesh accepts {', '.join(accepted)}")
