"""What an error of a broker comes to: refused for good, or away for now; and what is to be done."""

from __future__ import annotations

import socket
import ssl

import pytest

from taskmesh.broker.causes import explained
from taskmesh.errors import BrokerRefused, BrokerUnavailable


class FromBroker(Exception):
    """As the library has them: a number, and what the broker says."""

    def __init__(self, code, text):
        super().__init__(text)
        self.reply_code = code
        self.reply_text = text


def told(error, **facts):
    return explained(error, "amqp://me:***@host/shop", **{"user": "me", "vhost": "shop", **facts})


@pytest.mark.parametrize(
    ("error", "facts", "says"),
    [
        (FromBroker(403, "login refused"), {"connecting": True}, "check user 'me' and the password"),
        (FromBroker(403, "no access"), {"at": "q"}, "set_permissions -p shop me"),
        (FromBroker(530, "access to vhost refused"), {"connecting": True}, "set_permissions -p shop me"),
        (FromBroker(530, "vhost not found"), {"connecting": True}, "rabbitmqctl add_vhost shop"),
        (FromBroker(406, "inequivalent arg"), {"at": "q"}, "delete_queue -p shop q"),
        (FromBroker(405, "locked"), {"at": "q"}, "delete_queue -p shop q"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), {}, "that port does not speak TLS"),
        (ssl.SSLCertVerificationError(1, "verify failed"), {}, "ssl_ca_certs"),
        (ModuleNotFoundError("No module named 'some'", name="some"), {}, "install some"),
    ],
)
def test_what_waiting_does_not_mend_says_what_to_do(error, facts, says):
    found = told(error, **facts)
    assert type(found) is BrokerRefused
    assert str(found).startswith("broker amqp://me:***@host/shop refuses: ")
    assert says in str(found)
    assert found.broker == "amqp://me:***@host/shop"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "is it running, and is that its port?"),
        (TimeoutError(), "does not answer in time"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "does not answer in time"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be found: Name or service not known"),
        (OSError("Server unexpectedly closed connection"), "if that is its TLS port, use amqps://"),
        (FromBroker(320, "CONNECTION_FORCED - closed by an operator"), "closed by an operator"),
        (FromBroker(406, "unknown delivery tag 3"), "unknown delivery tag"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (OSError(), "OSError"),
    ],
)
def test_what_may_be_mended_by_waiting_is_away(error, says):
    found = told(error)
    assert type(found) is BrokerUnavailable
    assert says in str(found)
