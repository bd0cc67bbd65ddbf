"""Acceptors that are one server: they fall together, so a majority of them would be worth less than it seems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from taskmesh.consensus.chain import Looked
from taskmesh.errors import UsageError


def check_addresses(addresses: Sequence[str]) -> None:
    """Refuse an address that is given twice.

    Of a configuration that has a member twice no majority could ever be counted: it would be the end of the registers.

    Raises:
        UsageError: One is.
    """
    for at, address in enumerate(addresses):
        if address in addresses[:at]:
            raise UsageError(f"acceptor {address} is given twice; name different servers")


def check_servers(looked: Iterable[Looked]) -> None:
    """Refuse two addresses that lead to one server, such as a name and a number of one host.

    Raises:
        UsageError: Two do.
    """
    first: dict[str, str] = {}
    for each in looked:
        known = first.setdefault(each.run, each.address)
        if known != each.address:
            raise UsageError(
                f"acceptors {known} and {each.address} are one server, started once: two acceptors on one server fall "
                "together; name different servers"
            )
