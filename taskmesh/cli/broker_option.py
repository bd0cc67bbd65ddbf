"""`-b`, by which a command is told of another broker than its app names."""

from __future__ import annotations

from collections.abc import Callable

import click

from taskmesh.config.brokers import MESH, broker_address
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
        UsageError: It is none, or of a kind that is refused; no password is shown.
    """
    try:
        return broker_address(given) or MESH
    except ValueError as error:
        raise UsageError(f"--broker (-b): {error}") from None
