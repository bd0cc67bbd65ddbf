"""`taskmesh acceptors`: who keeps what is agreed upon, and what to do when one is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from taskmesh.cli.acceptor_list import acceptor_table
from taskmesh.cli.failure import EXIT_USAGE, Failure
from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.output import json_option, print_json, show
from taskmesh.cli.target import Target, target_options
from taskmesh.config.nodes import ACCEPTORS, acceptor_urls
from taskmesh.core.redact import address_shown
from taskmesh.nodes.acceptor_care import AcceptorCare
from taskmesh.nodes.address import DATA_NODE, NodeAddress

if TYPE_CHECKING:
    from taskmesh.consensus.configuration import Configuration

_DONE = "0 done, also where nothing had to be"
_TOO_FEW = "1 too few acceptors take part, or one does not answer that is needed"


@click.group(cls=SuggestingGroup)
def acceptors() -> None:
    """See and change who keeps what is agreed upon: leader, schedules, locks, files, settings of queues.

    Without acceptors=[...] in the settings the node itself is the only one, and there is nothing to do here.
    """


@acceptors.command(
    "list",
    epilog=ending(
        examples=["taskmesh acceptors list -A app:mesh", "taskmesh acceptors list --mesh shop --json"],
        codes=["0 shown", "1 the node cannot be reached, or there is no such mesh"],
    ),
)
@target_options()
@json_option
def list_(*, target: Target, json_wanted: bool) -> None:
    """Show each acceptor: whether it takes part, how it keeps its data, what is unsafe.

    One that was started anew and cannot have forgotten anything takes part: it is admitted when it is next used.
    """
    mesh = target.look()
    reports = AcceptorCare(mesh.agreement).reports()
    if json_wanted:
        print_json([report.as_json() for report in reports])
    else:
        show(acceptor_table(reports))


@acceptors.command(
    epilog=ending(
        examples=[
            "taskmesh acceptors replace -A app:mesh",
            "taskmesh acceptors replace redis://10.0.0.3:7003 redis://10.0.0.4:7003",
        ],
        codes=[_DONE, _TOO_FEW],
    )
)
@click.argument("old", required=False)
@click.argument("new", required=False)
@target_options()
@json_option
def replace(*, old: str | None, new: str | None, target: Target, json_wanted: bool) -> None:
    """Replace acceptors: those that may have forgotten, at their addresses, or OLD by NEW.

    A majority has to take part. What it knows is taken over before the new one counts; nothing stops meanwhile.
    """
    care = AcceptorCare(target.open().agreement)
    if old is None:
        before = care.members()
        configuration = care.tend()
        _say(configuration, json_wanted=json_wanted, changed=configuration != before)
        return
    if new is None:
        raise Failure("give OLD and NEW, or neither to replace those that may have forgotten", EXIT_USAGE)
    members = _addresses(care)
    _check_member(old, members)
    _change(care, [_plain(new) if each == _plain(old) else each for each in members], json_wanted)


@acceptors.command(
    epilog=ending(
        examples=["taskmesh acceptors add redis://10.0.0.4:7001 redis://10.0.0.5:7001 -A app:mesh"],
        codes=[_DONE, _TOO_FEW],
    )
)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@target_options()
@json_option
def add(*, addresses: tuple[str, ...], target: Target, json_wanted: bool) -> None:
    """Add acceptors; afterwards there must be 1, 3 or 5."""
    care = AcceptorCare(target.open().agreement)
    _change(care, list(dict.fromkeys([*_addresses(care), *map(_plain, addresses)])), json_wanted)


@acceptors.command(
    epilog=ending(
        examples=["taskmesh acceptors remove redis://10.0.0.4:7001 redis://10.0.0.5:7001 -A app:mesh"],
        codes=[_DONE, _TOO_FEW],
    )
)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@target_options()
@json_option
def remove(*, addresses: tuple[str, ...], target: Target, json_wanted: bool) -> None:
    """Remove acceptors; afterwards there must be 1, 3 or 5."""
    care = AcceptorCare(target.open().agreement)
    members = _addresses(care)
    for address in addresses:
        _check_member(address, members)
    gone = set(map(_plain, addresses))
    _change(care, [member for member in members if member not in gone], json_wanted)


@acceptors.command(
    epilog=ending(
        examples=["taskmesh acceptors move -A app:mesh", "taskmesh acceptors move --to-node -A app:mesh"],
        codes=[_DONE, _TOO_FEW],
    )
)
@click.option("--to-node", is_flag=True, help="To the node with the messages, and to no acceptors.")
@target_options()
@json_option
def move(*, to_node: bool, target: Target, json_wanted: bool) -> None:
    """Have the acceptors that the settings name hold the registers."""
    mesh = target.open()
    places = [DATA_NODE] if to_node else mesh.agreement.addresses
    if places == [DATA_NODE] and not to_node:
        raise Failure(
            "the settings name no acceptors (--mesh knows those of TASKMESH_ACCEPTORS and taskmesh.toml only, -A also "
            "the app's); say --to-node if the node with the messages is to hold the registers, and fall with them",
            EXIT_USAGE,
        )
    _change(AcceptorCare(mesh.agreement), places, json_wanted)


@acceptors.command(
    epilog=ending(
        examples=[
            "taskmesh acceptors readmit --accept-loss -A app:mesh",
            "taskmesh acceptors readmit --accept-loss --lost redis://10.0.0.3:7003 -A app:mesh",
        ],
        codes=[_DONE, _TOO_FEW],
    )
)
@click.option("--accept-loss", is_flag=True, help="What only the lost ones knew is lost: say so.")
@click.option("--lost", multiple=True, metavar="ADDRESS", help="An acceptor that never comes back.")
@target_options()
@json_option
def readmit(*, accept_loss: bool, lost: tuple[str, ...], target: Target, json_wanted: bool) -> None:
    """Go on with what there is, when no majority can be admitted.

    Try first to bring back servers with their disks: whoever cannot have forgotten is admitted by itself. Processes
    that run go on by themselves; if all was lost, start a worker or scheduler anew, for the schedules of the code.
    """
    if not accept_loss:
        raise Failure(
            "what was agreed upon last may be lost: leaders, locks, changes of schedules. Bring back the servers with "
            "their disks, or say --accept-loss",
            EXIT_USAGE,
        )
    care = AcceptorCare(target.open().agreement)
    _say(care.readmit([_plain(address) for address in lost]), json_wanted=json_wanted, changed=True)


def _plain(address: str) -> str:
    """Return an address as members are named: without a password.

    Raises:
        Failure: It is none.
    """
    if address == DATA_NODE:
        return address
    try:
        (url,) = acceptor_urls([address])
    except ValueError as error:
        raise Failure(f"address {address_shown(address)!r}: {error}", EXIT_USAGE) from error
    return str(NodeAddress(url))


def _addresses(care: AcceptorCare) -> list[str]:
    return [member.address for member in care.members().members]


def _check_member(address: str, members: list[str]) -> None:
    if _plain(address) not in members:
        raise Failure(
            f"{_plain(address)} is no acceptor of this mesh; it has {', '.join(members)}", EXIT_USAGE
        )


def _change(care: AcceptorCare, addresses: list[str], json_wanted: bool) -> None:  # noqa: FBT001 - as the option says
    if len(addresses) not in ACCEPTORS:
        raise Failure(
            f"that would be {len(addresses)} acceptors ({', '.join(addresses)}); there must be 1, 3 or 5",
            EXIT_USAGE,
        )
    before = care.members()
    configuration = care.change(addresses)
    _say(configuration, json_wanted=json_wanted, changed=configuration != before)


def _say(configuration: Configuration, *, json_wanted: bool, changed: bool) -> None:
    addresses = [member.address for member in configuration.members]
    if json_wanted:
        print_json({"changed": changed, "configuration": configuration.number, "acceptors": addresses})
    elif changed:
        click.echo(f"configuration {configuration.number}: {', '.join(addresses)}")
    else:
        click.echo(f"nothing had to be changed; configuration {configuration.number}: {', '.join(addresses)}")
