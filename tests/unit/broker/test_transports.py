"""Every transport that kombu has a name for serves, or says in one line what is missing; the libraries of most are."""

from __future__ import annotations

import pytest
from kombu.transport import TRANSPORT_ALIASES

from taskmesh.broker.causes import NEEDS
from taskmesh.broker.named import make_broker
from taskmesh.config.brokers import AMQP, KOMBU, MEMORY, broker_address
from taskmesh.errors import BrokerRefused, BrokerUnavailable
from tests.faults.server import free_port


def test_each_name_of_kombus_is_taken_or_refused_by_name() -> None:
    for scheme in {scheme.lower() for scheme in TRANSPORT_ALIASES} - KOMBU:
        with pytest.raises(ValueError, match=f"{scheme}:// is refused as a broker"):
            broker_address(f"{scheme}://x")


@pytest.mark.parametrize("scheme", sorted(KOMBU - AMQP - {MEMORY} | {"SQS", "SLMQ"}))
def test_a_transport_whose_library_is_missing_says_what_to_install(scheme: str) -> None:
    address = broker_address(f"{scheme}://me:hidden@127.0.0.1:1/x")
    assert address is not None
    with pytest.raises(BrokerRefused) as refused:
        make_broker(address, "shop").check(["mail"])
    said = str(refused.value)
    assert said.startswith(f"broker {scheme.lower()}://me:***@127.0.0.1:1/x ")
    assert f"install {NEEDS[scheme.lower()]}" in said
    assert "\n" not in said
    assert "hidden" not in said


def test_a_scheme_in_capitals_is_the_same() -> None:
    address = broker_address(f"AMQP://127.0.0.1:{free_port()}/shop")
    assert address is not None
    with pytest.raises(BrokerUnavailable, match="connection refused"):
        make_broker(address, "shop").check()
