"""What a broker's error means for who runs it: which of two kinds it is, and what can be done."""

from __future__ import annotations

import errno
import socket
import ssl

from taskmesh.errors import BrokerRefused, BrokerUnavailable

#: Reply codes of AMQP that will not change by waiting.
ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED, PRECONDITION_FAILED, NOT_ALLOWED = 403, 404, 405, 406, 530

#: What kombu's transports need besides kombu, as pip is told.
NEEDS = {
    "sqs": "kombu[sqs]",
    "gcpubsub": "kombu[gcpubsub]",
    "azureservicebus": "kombu[azureservicebus]",
    "azurestoragequeues": "kombu[azurestoragequeues]",
    "confluentkafka": "kombu[confluentkafka]",
    "kafka": "kombu[confluentkafka]",
    "mongodb": "kombu[mongodb]",
    "consul": "kombu[consul]",
    "etcd": "python-etcd",
    "zookeeper": "kombu[zookeeper]",
    "qpid": "kombu[qpid]",
    "pyro": "Pyro4",
    "slmq": "kombu[slmq]",
}


def explained(
    error: BaseException, shown: str, *, user: str, vhost: str, at: str = "", connecting: bool = False
) -> BrokerRefused | BrokerUnavailable:
    """Return an error of ours that says what happened, where, and what to do.

    Args:
        error: As the library raised it.
        shown: Address of the broker, without a password.
        user: In whose name.
        vhost: Which virtual host.
        at: The queue that was meant; empty for none.
        connecting: Whether the connection was only being made.
    """
    advice = _never(error, shown, user=user, vhost=vhost, at=at, connecting=connecting)
    if advice:
        return BrokerRefused(f"broker {shown} refuses: {_text(error)}; {advice}", broker=shown)
    return BrokerUnavailable(f"broker {shown} {_away(error)}", broker=shown)


def unmade(error: Exception, shown: str, scheme: str) -> BrokerRefused:
    """Return an error of ours for a connection that kombu cannot even make: as a rule a library is missing.

    Args:
        error: What it raised.
        shown: Address of the broker, without a password.
        scheme: Of the address, in lower case.
    """
    needed = f"install {NEEDS[scheme]}, and see" if scheme in NEEDS else "see"
    return BrokerRefused(
        f"broker {shown} cannot be used: kombu's transport for {scheme}:// fails with "
        f"{type(error).__name__}: {_text(error)}; {needed} that the address is one that kombu's documentation shows",
        broker=shown,
    )


def _never(error: BaseException, shown: str, *, user: str, vhost: str, at: str, connecting: bool) -> str:
    """Return what to do about an error that waiting does not mend; empty for any other."""
    code = code_of(error)
    if code == ACCESS_REFUSED and connecting:
        return f"check user {user!r} and the password in the address"
    if code == ACCESS_REFUSED or (code == NOT_ALLOWED and "refused" in str(error)):
        return (
            f"give user {user!r} its rights: rabbitmqctl set_permissions -p {vhost} {user} '^taskmesh\\.' "
            "'^(taskmesh\\..*|amq\\.default)$' '^taskmesh\\.'"
        )
    if code == NOT_ALLOWED:
        return f"the virtual host, {vhost!r}, ends the address; make it: rabbitmqctl add_vhost {vhost}"
    if code in (PRECONDITION_FAILED, RESOURCE_LOCKED) and at:
        return (
            f"queue {at!r} was made otherwise, by a policy or by somebody else: delete it (rabbitmqctl delete_queue -p "
            f"{vhost} {at}; tickets are made again), or give the mesh a virtual host of its own"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return "name the authority that signed its certificate: amqps://...?ssl_ca_certs=/path/to/ca.pem"
    if isinstance(error, ssl.SSLError) and "WRONG_VERSION" in str(error):
        return "that port does not speak TLS: use amqp://, or the TLS port (5671 unless it was changed)"
    if isinstance(error, ImportError):
        needed = NEEDS.get(shown.partition("://")[0].lower()) or error.name or "it"
        return f"install {needed}, without which kombu has no transport for that"
    return ""


def code_of(error: BaseException) -> int:
    """Return AMQP's number for an error, 0 for none; kombu's own transports give it as text."""
    code = getattr(error, "reply_code", 0) or getattr(error, "code", 0)
    return int(code) if str(code).isdigit() else NOT_FOUND if "NOT_FOUND" in str(error) else 0


def _text(error: BaseException) -> str:
    """Return what an error says, as part of a sentence."""
    said = getattr(error, "reply_text", None) or getattr(error, "strerror", None) or error
    return str(said).rstrip(".") or type(error).__name__


def _away(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "does not answer in time"
    if isinstance(error, socket.gaierror):
        return f"cannot be found: {_text(error)}"
    if isinstance(error, ConnectionRefusedError):
        return "cannot be reached: connection refused; is it running, and is that its port?"
    if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
        return "does not answer in time"
    if isinstance(error, OSError) and "closed connection" in str(error):
        return "closed the connection; if that is its TLS port, use amqps://"
    return f"cannot be used just now: {_text(error)}"
