"""Which broker an address means, and how those of other packages are found.

- `amqp://…` and what else kombu speaks: `KombuBroker`.
- a scheme that a package adds by the group of entry points `taskmesh.brokers`.
- `module:attribute`, with anything after a `?`: what stands there.

The last two lead to a callable that takes the whole address and the name of the mesh, and returns a `Broker`. Every
process makes its own, supervisors included: so it stands in a module that can be imported without the app.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from taskmesh.config.brokers import GROUP, KOMBU, broker_shown, scheme_of
from taskmesh.errors import BrokerRefused

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker


def make_broker(address: str, mesh: str) -> Broker:
    """Return the broker that an address means; nothing is connected yet.

    Args:
        address: As the setting `broker` holds it.
        mesh: Name of the mesh.

    Raises:
        BrokerRefused: Nothing that can be imported answers to it.
    """
    scheme = scheme_of(address)
    if scheme in KOMBU:
        from taskmesh.broker.kombu import KombuBroker

        return KombuBroker(address, mesh)
    return cast("Broker", _factory(address, scheme)(address, mesh))


def _factory(address: str, scheme: str) -> Any:
    if not scheme:
        return _by_path(address)
    from importlib.metadata import entry_points

    for found in entry_points(group=GROUP):
        if found.name == scheme:
            return found.load()
    raise BrokerRefused(
        f"broker {broker_shown(address)}: no installed package brings a broker for {scheme}:// (entry points {GROUP})",
        broker=broker_shown(address),
    )


def _by_path(address: str) -> Any:
    module, _, attribute = address.partition("?")[0].partition(":")
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise BrokerRefused(
            f"broker {broker_shown(address)}: {error}; every process of the mesh must be able to import it",
            broker=broker_shown(address),
        ) from error
    return found
