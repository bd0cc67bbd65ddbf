"""What operators set stands in registers; the node follows them, also where acceptors have no majority for a while."""

from __future__ import annotations

from taskmesh.coordination.queue_setting import unpack_queue
from taskmesh.coordination.task_setting import unpack_task
from taskmesh.nodes.operator_settings import OperatorSettings
from taskmesh.queue.wish import wishes
from tests.integration.agreement.registers import read


def is_paused(mesh, queue: str = "mail") -> bool:
    """Tell what the register says."""
    return unpack_queue(read(mesh, f"queue/{queue}")).paused


def test_a_pause_stands_in_a_register_and_on_the_node(make_acceptors, make_mesh):
    mesh = make_mesh(make_acceptors(3))
    assert mesh.pause_queue("mail")
    assert not mesh.pause_queue("mail")
    assert (is_paused(mesh), mesh.paused_queues()) == (True, ["mail"])
    assert mesh.resume_queue("mail")
    assert (read(mesh, "queue/mail"), mesh.paused_queues()) == (None, [])
    assert mesh.link.run(wishes(mesh.link.session)) == {}


def test_a_node_that_forgot_follows_the_registers(make_acceptors, make_mesh, data_node):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    mesh.pause_queue("mail")
    with data_node.client() as client:
        client.delete("tm:agreed:paused")
        client.sadd("tm:agreed:paused", "other")
    OperatorSettings(make_mesh(servers).agreement).level()
    assert mesh.paused_queues() == ["mail"]


def test_whoever_goes_on_seeing_to_it_hears_of_what_is_new(make_acceptors, make_mesh, data_node):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    mesh.pause_queue("mail")
    settings = OperatorSettings(make_mesh(servers).agreement)
    settings.level()
    mesh.pause_queue("news")
    for _ in range(2):
        with data_node.client() as client:
            client.delete("tm:agreed:paused")
        settings.level()
        assert mesh.paused_queues() == ["mail", "news"]


def test_weights_and_limits_outlive_the_memory_of_the_node(make_acceptors, make_mesh, data_node):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    mesh.set_queue_weight("mail", 3)
    mesh.pause_queue("mail")
    mesh.set_rate_limit("app.add", "5/m")
    with data_node.client() as client:
        client.delete("tm:agreed:paused", "tm:agreed:settings")
        client.hset("tm:agreed:settings", "w other", "9")
    OperatorSettings(make_mesh(servers).agreement).level()
    assert (mesh.queue_weights(), mesh.rate_limits()) == ({"mail": 3}, {"app.add": "5/m"})
    assert mesh.resume_queue("mail")
    assert unpack_queue(read(mesh, "queue/mail")).weight == 3
    mesh.reset_queue_weight("mail")
    mesh.reset_rate_limit("app.add")
    assert (read(mesh, "queue/mail"), read(mesh, "rate/app.add")) == (None, None)


def test_a_limit_holds_at_once_without_a_majority_and_is_agreed_upon_later(make_acceptors, make_mesh):
    servers = make_acceptors(1)
    mesh = make_mesh(servers)
    mesh.set_queue_weight("mail", 2)
    servers[0].kill()
    mesh.agreement.registers.patience_s = 0.2
    assert mesh.set_rate_limit("app.add", "none")
    assert mesh.reset_queue_weight("mail")
    assert (mesh.queue_weights(), mesh.rate_limits()) == ({}, {"app.add": "none"})
    servers[0].start()
    late = make_mesh(servers)
    OperatorSettings(late.agreement).level()
    assert unpack_task(read(late, "rate/app.add")).rate_limit == "none"
    assert (read(late, "queue/mail"), late.queue_weights()) == (None, {})


def test_without_a_majority_it_holds_at_once_and_is_agreed_upon_later(make_acceptors, make_mesh, caplog):
    servers = make_acceptors(3)
    mesh = make_mesh(servers)
    mesh.pause_queue("news")
    servers[0].kill()
    servers[1].kill()
    mesh.agreement.registers.patience_s = 0.2
    assert mesh.pause_queue("mail")
    assert mesh.resume_queue("news")
    assert mesh.paused_queues() == ["mail"]
    assert "the acceptors were not told" in caplog.text
    servers[0].start()
    servers[1].start()
    late = make_mesh(servers)
    OperatorSettings(late.agreement).level()
    assert (is_paused(late), is_paused(late, "news")) == (True, False)
    assert late.paused_queues() == ["mail"]
    assert late.link.run(wishes(late.link.session)) == {}


def test_a_wish_that_is_taken_on_twice_changes_nothing_the_second_time(
    make_acceptors, make_mesh, monkeypatch
):
    """Whoever had it died before he could say that the register follows; then somebody else resumed the queue."""
    servers = make_acceptors(1)
    mesh = make_mesh(servers)
    with monkeypatch.context() as patch:
        patch.setattr("taskmesh.nodes.operator_settings.settle_wish", lambda *_: iter(()))
        mesh.pause_queue("mail")
    (stayed,) = mesh.link.run(wishes(mesh.link.session)).values()
    assert mesh.resume_queue("mail")
    mesh.link.run(_note_again(mesh, stayed))
    OperatorSettings(mesh.agreement).level()
    assert (is_paused(mesh), mesh.paused_queues()) == (False, [])


def _note_again(mesh, wish):
    from taskmesh.queue.wish import note_wish

    return note_wish(mesh.link.session, "mail", wish)
