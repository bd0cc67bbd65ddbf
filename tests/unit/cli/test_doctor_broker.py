"""What `taskmesh doctor` says of a broker."""

from __future__ import annotations

from taskmesh.app import TaskMesh
from taskmesh.cli.broker_list import BrokerSeen
from taskmesh.cli.doctor.broker import check_broker, check_heard
from taskmesh.cli.doctor.finding import Level
from tests.faults.server import free_port


def test_a_mesh_without_a_broker_has_nothing_to_tell():
    assert list(check_broker(TaskMesh("plain"))) == []


def test_a_broker_that_lets_us_in_is_fine_and_its_tickets_are_counted():
    mesh = TaskMesh("doctors", broker="memory://")

    @mesh.task(queue="mail")
    def send(): ...

    (found,) = check_broker(mesh)
    assert (found.level, found.text) == (Level.OK, "memory://; no tickets wait")
    mesh.broker.announce("mail", 3)
    assert mesh.broker.flush(90)
    (found,) = check_broker(mesh)
    assert found.text == "memory://; tickets wait: 3 for mail"
    mesh.close()


def test_a_broker_that_is_away_is_a_warning_since_nothing_is_lost():
    mesh = TaskMesh("doctors", broker=f"amqp://user:hidden@127.0.0.1:{free_port()}/shop")
    (found,) = check_broker(mesh)
    assert found.level is Level.WARN
    assert "connection refused" in found.text
    assert "nothing is lost" in found.remedy
    assert "hidden" not in str(found)


def test_a_broker_that_can_never_serve_is_a_failure():
    (found,) = check_broker(TaskMesh("doctors", broker="no.such:broker"))
    assert found.level is Level.FAIL
    assert "must be able to import it" in found.remedy


def test_a_broker_that_only_workers_know_is_told_of_and_how_to_have_it_checked():
    heard = BrokerSeen("amqp://me:***@host/shop", hear=("one",))
    (found,) = check_heard([heard], is_named=False)
    assert found.level is Level.OK
    assert "amqp://me:***@host/shop, heard by 1 worker; it was not checked from here" in found.text
    assert "TASKMESH_BROKER" in found.remedy
    deaf = BrokerSeen("amqp://me:***@host/shop", deaf=(("one", "refused"),))
    (found,) = check_heard([deaf], is_named=False)
    assert found.level is Level.WARN
    assert "not heard by 1 of 1 workers (one): refused" in found.text
    assert "TASKMESH_BROKER" in found.remedy


def test_workers_that_do_not_hear_a_broker_which_answers_here_are_told_of():
    heard = BrokerSeen("amqp://host/shop", hear=("one",))
    assert list(check_heard([heard], is_named=True)) == []
    (found,) = check_heard([BrokerSeen("amqp://host/shop", ("one",), (("two", "refused"),))], is_named=True)
    assert found.level is Level.WARN
    assert "1 of 2 workers (two)" in found.text
    assert "from where these workers run" in found.remedy
