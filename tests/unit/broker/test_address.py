"""What an address says beside host and port."""

from __future__ import annotations

import ssl

import pytest

from taskmesh.broker.address import where
from taskmesh.errors import BrokerRefused


def test_a_plain_address_has_a_heartbeat_and_the_default_host():
    found = where("amqp://host")
    assert (found.user, found.vhost) == ("guest", "/")
    assert found.arguments["heartbeat"] == 30
    assert "ssl" not in found.arguments


def test_options_follow_a_question_mark_and_the_rest_is_the_transports():
    found = where(
        "amqp://me:p%40ss@host:5673/a%2Fb?heartbeat=7&connect_timeout=1.5&login_method=PLAIN&frame_max=9000&x=true"
    )
    assert (found.user, found.vhost) == ("me", "a/b")
    assert found.arguments == {
        "hostname": "amqp://me:p%40ss@host:5673/a%2Fb",
        "heartbeat": 7.0,
        "connect_timeout": 1.5,
        "login_method": "PLAIN",
        "transport_options": {"frame_max": 9000, "x": True},
    }


def test_tls_looks_at_the_certificate_unless_somebody_says_otherwise():
    secure = where("amqps://host/shop").arguments["ssl"]
    assert secure == {"server_hostname": "host", "cert_reqs": ssl.CERT_REQUIRED}
    own = where(
        "amqps://host/shop?ssl_ca_certs=/etc/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem"
    ).arguments["ssl"]
    assert own["ca_certs"] == "/etc/ca.pem"
    assert (own["certfile"], own["keyfile"]) == ("/c.pem", "/k.pem")
    assert where("amqps://host?ssl_cert_reqs=none").arguments["ssl"]["cert_reqs"] == ssl.CERT_NONE


def test_other_transports_get_their_options():
    found = where("memory://?polling_interval=0.5")
    assert "heartbeat" not in found.arguments
    assert found.arguments["transport_options"] == {"polling_interval": 0.5}


@pytest.mark.parametrize("options", ["heartbeat=often", "connect_timeout=", "ssl_cert_reqs=perhaps"])
def test_an_option_that_means_nothing_is_refused(options):
    with pytest.raises(BrokerRefused, match="is wrong"):
        where(f"amqp://me:secret@host/shop?{options}")
