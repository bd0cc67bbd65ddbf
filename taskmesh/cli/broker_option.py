"""`-b`, by which a command is told of another broker than its app names."""

from __future__ import annotations

from collections.abc import Callable

import click

from taskmesh.config.brokers import MEMORY, MESH, broker_address, scheme_of
from taskmesh.config.sources import VARIABLE_PREFIX
from taskmesh.errors import UsageError

VARIABLE = VARIABLE_PREFIX + "BROKER"


def broker_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command `-b`."""
    return click.option(
        "-b",
        "--broker",
        metavar="URL",
        help="Hear of work from this broker, such as amqp://user:password@host/vhost, whatever the app says; `mesh` "
        "for the nodes themselves. A password is safer in TASKMESH_BROKER.  [default: the setting]",
    )(function)


def given_broker(given: str) -> str:
    """Return the address that `-b` was given.

    Raises:
        UsageError: It is none, of a kind that is refused, or one that no other process can reach; no password is shown.
    """
    try:
        address = broker_address(given) or MESH
    except ValueError as error:
        raise UsageError(f"--broker (-b): {error}") from None
    if scheme_of(address) == MEMORY:
        raise UsageError(
            "--broker (-b): memory:// reaches no other process, so nobody could tell this one of work; it is for "
            "tests. Give amqp://user:password@host:5672/vhost, or mesh for the nodes themselves"
        )
    return address
