"""A worker's broker: none costs nothing, one that refuses is no reason to wait."""

from __future__ import annotations

import subprocess
import sys

import pytest

from taskmesh.codec.report import BrokerReport
from taskmesh.errors import BrokerRefused
from taskmesh.worker.hearing import TROUBLE_MAX, Hearing
from tests.faults.server import free_port
from tests.ticket_broker import FileBroker

ALONE = """
import sys
import taskmesh.worker.supervisor, taskmesh.scheduler.candidate
from taskmesh.worker.hearing import Hearing
hearing = Hearing("", "shop", "w")
hearing.check(["mail"], burst=False)
hearing.begin(None, b"", ["mail"], None)
hearing.stop()
hearing.close()
import threading
of_brokers = sorted(n for n in sys.modules if "taskmesh.broker" in n or n == "kombu")
print(hearing.is_on, hearing.broker, threading.active_count(), of_brokers)
"""


@pytest.fixture
def address(tmp_path) -> str:
    return f"tests.ticket_broker:FileBroker?{tmp_path}"


def test_a_worker_without_a_broker_imports_nothing_of_it_and_has_no_thread_more():
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    # what would tell a broker, if there were one, knows none
    assert done.stdout == "False None 1 ['taskmesh.broker', 'taskmesh.broker.announcing']\n"


def test_what_the_broker_says_at_the_start_is_told(address):
    told: list[str] = []
    broker = FileBroker(address, "shop")
    with broker.in_trouble("away"):
        hearing = Hearing(address, "shop", "w", tell=told.append)
        hearing.check(["mail"], burst=False)
    assert hearing.is_on
    assert "nobody answers" in told[-1]
    assert hearing.report() == BrokerReport("files of shop", hears=False, trouble=told[-1])
    hearing.check(["mail"], burst=False)
    assert told[-1] == ""
    assert hearing.report() == BrokerReport("files of shop", hears=True)
    with broker.in_trouble("refused"), pytest.raises(BrokerRefused):
        hearing.check(["mail"], burst=False)


def test_a_burst_is_woken_by_the_nodes(address):
    hearing = Hearing(address, "shop", "w")
    hearing.check(["mail"], burst=True)
    assert not hearing.is_on
    assert hearing.report() == BrokerReport("files of shop"), "it has one, and does not listen"


def test_a_broker_that_has_no_tickets_leaves_it_to_the_nodes():
    hearing = Hearing("tests.ticket_broker:NoTickets", "shop", "w")
    hearing.check(["mail"], burst=False)
    assert not hearing.is_on
    told = hearing.report()
    assert told is not None
    assert told.hears is None


def test_what_is_published_of_a_broker_is_short_and_has_no_password():
    address = f"amqp://me:hunter2@127.0.0.1:{free_port()}/shop"
    hearing = Hearing(address, "shop", "w")
    hearing.check(["mail"], burst=False)
    told = hearing.report()
    assert told is not None
    assert told.shown == address.replace("hunter2", "***")
    assert "refused" in told.trouble
    assert len(told.trouble) <= TROUBLE_MAX
    assert "hunter2" not in str(told)
    assert Hearing("", "shop", "w").report() is None
