"""The setting `broker`: what is taken, what is refused and why, and that no password is shown."""

from __future__ import annotations

import pytest

from taskmesh.config import load_settings
from taskmesh.errors import ConfigError


def load(broker, **environ):
    return load_settings("shop", {"broker": broker}, environ=environ, cwd="")


@pytest.mark.parametrize(
    "address",
    [
        "amqp://guest:guest@localhost:5672//",
        "amqp://localhost",
        "amqps://user:p%2Fw@rabbit.example:5671/shop?heartbeat=30",
        "memory://",
        "sqs://",
        "amqp://a/shop;amqp://b/shop",
        "my.brokers:FileBroker",
        "my.brokers:FileBroker?folder=/var/tickets&url=http://x",
    ],
)
def test_an_address_is_kept_as_it_was_written(address):
    assert load(address).broker == address


def test_servers_of_one_cluster_may_be_a_list_or_one_text():
    both = "amqp://a:5672/shop;amqp://b:5672/shop"
    assert load(["amqp://a:5672/shop", "amqp://b:5672/shop"]).broker == both
    assert load("amqp://a:5672/shop, amqp://b:5672/shop").broker == both


def test_mesh_means_the_nodes_themselves_and_counts_before_a_variable():
    assert load("mesh", TASKMESH_BROKER="amqp://localhost").broker is None
    assert load(None, TASKMESH_BROKER="amqp://localhost").broker == "amqp://localhost"
    assert load(None).broker is None


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("redis://localhost", "nodes=.*and no broker"),
        ("rediss://localhost", "nodes="),
        ("sentinel://localhost", "nodes="),
        ("valkey://localhost", "nodes="),
        ("sqla+sqlite:///x.db", "polled"),
        ("sqlalchemy://x", "polled"),
        ("filesystem://", "polled"),
        ("rabbitmq://localhost", "is amqp:// meant"),
        ("amqp://", "expected a host"),
        ("amqp://localhost:x/", "port is wrong"),
        ("amqp://localhost/a/b", "%2F"),
        ("amqp://host/shop?heartbet=3", "the option heartbet after the . is unknown; is heartbeat meant"),
        (
            "amqps://host/shop?ssl_ca_certs=/ca.pem&color=red",
            "option color .* options are heartbeat, connect",
        ),
        ("amqp://a;memory://", "different kinds"),
        ("localhost:5672", "expected an address"),
        ("", "expected an address"),
        (7, "expected an address"),
        (object(), "expected an address"),
    ],
)
def test_what_cannot_serve_is_refused_with_what_to_do(address, says):
    with pytest.raises(ConfigError, match=says) as caught:
        load(address)
    assert caught.value.setting == "broker"


@pytest.mark.parametrize(
    "address",
    [
        "amqp://user:hunter2@host/shop",
        "amqp://user:hun;ter2hunter2@host/shop",
        "amqp://user:x@hunter2@host/shop",
        "amqp://user:a/hunter2@host/shop",
        "amqp://user:a://hunter2@host/shop",
        "amqp://a/x;amqp://user:hunter2@host/shop",
        "amqp://user:1?hunter2@host/shop",
        "amqp://user:1?hunter2=x@host/shop",
        "sqs://KEY:hunter2@",
        "amqp://host/shop?password=hunter2",
        "my.brokers:It?token=hunter2&folder=x",
        "redis://:hunter2@host",
        "amqp:user:hunter2@host",
        "amqp://user:hunter2@host:port/shop",
    ],
)
def test_no_password_is_shown_whatever_else_is_wrong(address):
    try:
        settings = load(address)
    except ConfigError as error:
        told = f"{error} {error.__dict__}"
    else:
        told = f"{settings!r} {settings.shown()}"
        assert "***" in told
    assert "hunter2" not in told
