"""What `taskmesh doctor` says of a broker."""

from __future__ import annotations

from taskmesh.app import TaskMesh
from taskmesh.cli.doctor.broker import check_broker
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
