"""KombuBroker on a real RabbitMQ: confirms, queues that vanish, connections that end, and what it refuses."""

from __future__ import annotations

import os
import resource
import socket
import time
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from kombu.connection import Connection

from taskmesh.broker.contract import TICKETS_MAX
from taskmesh.broker.kombu_line import KEPT_MAX
from taskmesh.broker.named import make_broker
from taskmesh.errors import BrokerRefused, BrokerUnavailable
from tests.faults.server import free_port
from tests.support import wait_until

QUEUE = "taskmesh.shop.mail"


@pytest.fixture
def made():
    made = []
    yield made
    for each in made:
        each.close()


@pytest.fixture
def broker(rabbitmq, vhost, made):
    broker = make_broker(rabbitmq.url(vhost), "shop")
    made.append(broker)
    return broker


@pytest.fixture
def tickets(broker, made):
    tickets = broker.listen(["mail"])
    made.insert(0, tickets)
    return tickets


def hear(tickets):
    """Return the next ticket, however often the connection is made anew."""
    return wait_until(lambda: tickets.next(0.5))


def test_what_is_announced_stands_in_a_durable_quorum_queue_of_limited_length(rabbitmq, vhost, broker):
    broker.announce("mail", 3)
    assert broker.flush(90)
    wait_until(lambda: broker.waiting("mail") == 3)
    wanted = (
        f'[{{<<"x-max-length">>, signedint, {KEPT_MAX}}}, {{<<"x-overflow">>, longstr, <<"drop-head">>}}, '
        '{<<"x-queue-type">>, longstr, <<"quorum">>}]'
    )
    facts = rabbitmq.do(
        f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{QUEUE}">>)), '
        f"[{{durable, D}}, {{arguments, A}}] = rabbit_amqqueue:info(Q, [durable, arguments]), "
        f"[D, lists:sort(A) =:= {wanted}]."
    )
    assert facts == "[true, true]"


def test_each_ticket_is_heard_once_and_counts_until_it_is_settled(rabbitmq, vhost, broker, tickets):
    tickets.consume(2)
    assert tickets.next(0.01) is None
    broker.announce("mail", 3)
    first, second = hear(tickets), hear(tickets)
    assert tickets.next(0.01) is None
    tickets.acknowledge(first)
    tickets.put_back(second)
    for _ in range(2):
        tickets.acknowledge(hear(tickets))
    wait_until(lambda: rabbitmq.messages(vhost, QUEUE) == 0)


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (b"\xff no JSON", {}),
        (b"no archive", {"compression": "application/x-bz2"}),
    ],
    ids=["bytes", "broken"],
)
def test_what_is_in_a_ticket_is_not_looked_at(rabbitmq, vhost, broker, tickets, body, header):
    """Whoever may publish there could else have workers unpack gigabytes, or lose their connections for ever."""
    broker.check(["mail"])  # which makes the queue
    with Connection(rabbitmq.url(vhost)) as stranger:
        channel = stranger.channel()
        channel.basic_publish(channel.prepare_message(body, headers=header), routing_key=QUEUE)
    tickets.consume(1)
    heard = hear(tickets)
    assert heard.queue == "mail"
    assert tickets.trouble == ""
    tickets.acknowledge(heard)
    wait_until(lambda: rabbitmq.messages(vhost, QUEUE) == 0)


def test_who_cancels_holds_nothing_and_his_connection_lives_on(broker, tickets):
    tickets.consume(10)
    broker.announce("mail", 5)
    held = hear(tickets)
    tickets.cancel()
    wait_until(lambda: broker.waiting("mail") == 4)
    tickets.put_back(held)
    wait_until(lambda: broker.waiting("mail") == 5)
    assert tickets.next(0.01) is None
    tickets.consume(1)
    assert hear(tickets).queue == "mail"
    assert tickets.trouble == ""


def test_a_queue_that_was_deleted_is_made_again_by_whoever_needs_it(rabbitmq, vhost, broker, tickets):
    tickets.consume(1)
    broker.announce("mail")
    tickets.acknowledge(hear(tickets))
    rabbitmq.delete_queue(vhost, QUEUE)
    wait_until(lambda: tickets.next(0.1) or tickets.trouble, what="the consumer is told")
    broker.announce("mail")
    tickets.acknowledge(hear(tickets))
    assert tickets.trouble == ""


def test_callers_make_a_queue_that_is_gone(rabbitmq, vhost, broker):
    broker.announce("mail")
    assert broker.flush(90)
    rabbitmq.delete_queue(vhost, QUEUE)
    wait_until(lambda: broker.waiting("mail") == 0)
    broker.announce("mail", 2)
    assert broker.flush(90)
    wait_until(lambda: broker.waiting("mail") == 2)


def test_connections_that_an_operator_closes_are_made_anew(rabbitmq, vhost, broker, tickets):
    tickets.consume(1)
    broker.announce("mail", 2)
    held = hear(tickets)
    # one whose confirm was lost with a connection is announced again: there may be more
    wait_until(lambda: (broker.waiting("mail") or 0) >= 1)
    rabbitmq.close_connections(vhost)
    broker.announce("mail")
    assert broker.flush(90)
    wait_until(lambda: (broker.waiting("mail") or 0) >= 3)
    heard = hear(tickets)
    tickets.acknowledge(held)  # of a connection that is gone: it has come again
    assert tickets.trouble == ""
    tickets.acknowledge(heard)
    for _ in range(2):
        tickets.acknowledge(hear(tickets))

    def is_empty() -> bool:
        more = tickets.next(0.5)
        if more:
            tickets.acknowledge(more)
        return rabbitmq.messages(vhost, QUEUE) == 0

    wait_until(is_empty)


def test_more_tickets_than_are_kept_push_out_the_oldest(rabbitmq, vhost, broker):
    for _ in range(KEPT_MAX // TICKETS_MAX + 2):
        broker.announce("mail", TICKETS_MAX)
        assert broker.flush(90)
    wait_until(lambda: broker.waiting("mail") == KEPT_MAX)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("amqp://guest:wrong@127.0.0.1:{port}/{vhost}", "check user 'guest' and the password"),
        ("amqp://guest:guest@127.0.0.1:{port}/nowhere", "rabbitmqctl add_vhost nowhere"),
        ("amqps://127.0.0.1:{port}/{vhost}", "that port does not speak TLS"),
    ],
)
def test_what_waiting_does_not_mend_is_refused(rabbitmq, vhost, address, says):
    url = address.format(port=rabbitmq.ports.amqp, vhost=quote(vhost))
    with pytest.raises(BrokerRefused, match=says) as caught:
        make_broker(url, "shop").check(["mail"])
    assert "wrong" not in str(caught.value).replace("wrong version", "").replace("WRONG_VERSION", "")


def test_a_queue_that_somebody_made_otherwise_is_refused(rabbitmq, vhost, broker):
    rabbitmq.do(
        f'{{new, _}} = rabbit_amqqueue:declare(rabbit_misc:r(<<"{vhost}">>, queue, <<"{QUEUE}">>), '
        'true, false, [], none, <<"tests">>), ok.'
    )
    with pytest.raises(BrokerRefused, match=f"rabbitmqctl delete_queue -p {vhost} {QUEUE}"):
        broker.check(["mail"])


def test_an_account_without_rights_hears_which_it_needs(rabbitmq, vhost):
    user = f"user-{vhost}"
    rabbitmq.do(f'rabbit_auth_backend_internal:add_user(<<"{user}">>, <<"pw">>, <<"tests">>).')
    broker = make_broker(rabbitmq.url(vhost, user=user, password="pw"), "shop")
    with pytest.raises(BrokerRefused, match=f"rabbitmqctl set_permissions -p {vhost} {user}"):
        broker.check(["mail"])
    rights(rabbitmq, vhost, user, "^$")
    with pytest.raises(BrokerRefused, match=f"rabbitmqctl set_permissions -p {vhost} {user}"):
        broker.check(["mail"])
    rights(rabbitmq, vhost, user, "^taskmesh[.]")
    broker.check(["mail"])
    rights(rabbitmq, vhost, user, "^$")
    broker.check(["mail"])  # it is there, so it need not be made


def rights(rabbitmq, vhost, user, configure):
    rabbitmq.do(
        f'rabbit_auth_backend_internal:set_permissions(<<"{user}">>, <<"{vhost}">>, <<"{configure}">>, '
        '<<"^(taskmesh[.].*|amq[.]default)$">>, <<"^taskmesh[.]">>, <<"tests">>).'
    )


def test_the_rights_that_are_asked_for_suffice(rabbitmq, vhost, made):
    user = f"user-{vhost}"
    rabbitmq.do(f'rabbit_auth_backend_internal:add_user(<<"{user}">>, <<"pw">>, <<"tests">>).')
    rights(rabbitmq, vhost, user, "^taskmesh[.]")
    broker = make_broker(rabbitmq.url(vhost, user=user, password="pw"), "shop")
    tickets = broker.listen(["mail"])
    made += [tickets, broker]
    tickets.consume(1)
    broker.announce("mail")
    tickets.acknowledge(hear(tickets))
    wait_until(lambda: broker.waiting("mail") == 0)


def test_a_virtual_host_that_is_deleted_says_so_and_one_that_is_made_again_serves(
    rabbitmq, vhost, broker, tickets
):
    tickets.consume(1)
    assert tickets.next(0.01) is None
    rabbitmq.delete_vhost(vhost)
    wait_until(lambda: tickets.next(0.2) or "add_vhost" in tickets.trouble)
    rabbitmq.add_vhost(vhost)
    tickets.renew()
    broker.announce("mail")
    tickets.acknowledge(hear(tickets))


@pytest.mark.slow
def test_a_server_in_trouble_holds_no_caller_up_and_goes_on_where_it_was(own_rabbitmq, made):
    """First it is short of memory, then it is killed."""
    broker = make_broker(own_rabbitmq.url(), "shop")
    tickets = broker.listen(["mail"])
    made += [tickets, broker]
    broker.check(["mail"])
    broker.announce("mail", 2)
    assert broker.flush(90)
    with own_rabbitmq.memory_alarm():
        began_s = time.monotonic()
        for _ in range(1000):
            broker.announce("mail")
        assert time.monotonic() - began_s < 60
        assert not broker.flush(2)  # nothing is confirmed
    assert broker.flush(90)
    count = wait_until(lambda: broker.waiting("mail"))  # or some more: they are counted a moment late

    tickets.consume(1)
    hear(tickets)
    # it writes down who leads a queue some seconds after that was made, and without that nobody ever does again
    own_rabbitmq.do("[dets:sync(T) || T <- dets:all()], ok.")
    own_rabbitmq.kill()
    assert broker.waiting("mail") is None
    broker.announce("mail")
    wait_until(lambda: tickets.next(0.1) or "refused" in tickets.trouble)
    assert not broker.flush(0.1)
    with pytest.raises(BrokerUnavailable, match="connection refused"):
        broker.check()
    own_rabbitmq.start()
    assert broker.flush(90)
    heard = []

    def is_empty() -> bool:
        while ticket := tickets.next(0.5):
            heard.append(ticket)
            tickets.acknowledge(ticket)
        return own_rabbitmq.messages("/", QUEUE) == 0

    wait_until(is_empty)
    assert len(heard) > count


def test_a_port_that_speaks_something_else_is_away():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(BrokerUnavailable, match="does not answer in time"):
            make_broker(f"amqp://127.0.0.1:{port}?connect_timeout=0.2", "shop").check()


def test_of_several_servers_the_first_that_answers_serves(rabbitmq, vhost, made):
    broker = make_broker(f"amqp://127.0.0.1:{free_port()}/x;{rabbitmq.url(vhost)}", "shop")
    made.append(broker)
    broker.announce("mail")
    assert broker.flush(90)
    wait_until(lambda: broker.waiting("mail") == 1)


@pytest.fixture
def many_files():
    """Have this process hold more files than `select` can name."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (2048 if soft == resource.RLIM_INFINITY else max(soft, 2048), hard)
    )
    with ExitStack() as files:
        for _ in range(1024):
            files.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_process_with_very_many_open_files_announces_counts_and_hears(many_files, broker, tickets):
    broker.announce("mail")
    assert broker.flush(90)
    wait_until(lambda: broker.waiting("mail") == 1)  # beats first
    tickets.consume(1)
    tickets.acknowledge(hear(tickets))
