"""A protocol for one node, on several: copies first, then the answer; and nobody acts by an old view."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.core.record import parse
from taskmesh.core.state import State
from taskmesh.core.steps import Call, NoAnswer, Pause, Round, all_answered
from taskmesh.errors import NodeUnavailable
from taskmesh.queue.claim import claim, handed_over, unheard
from taskmesh.queue.commit import commit
from taskmesh.queue.enqueue import enqueue
from taskmesh.queue.workers import register
from taskmesh.replication.spread import HAND_OVER, spread
from taskmesh.results.read import READ, read
from tests.unit.replication.small_mesh import PREFIX, SmallMesh, make_view, message

INCARNATION = b"a" * 16
HOLDER = INCARNATION + b"000001"


@pytest.fixture
def mesh() -> SmallMesh:
    return SmallMesh(make_view())


def send(mesh: SmallMesh, count: int = 40, **more):
    messages = [message(at, **more) for at in range(count)]
    return messages, mesh.run(enqueue(mesh.session, messages, patience_s=0))


def test_what_is_accepted_is_on_every_copy(mesh: SmallMesh) -> None:
    messages, sent = send(mesh)
    assert sorted(sent.accepted) == sorted(each.task_id.decode() for each in messages)
    for each in messages:
        assert {mesh.record(node, each.task_id) for node in mesh.nodes} == {each.record}
        for node in mesh.nodes:
            assert each.task_id in mesh.members_of(node, b"L:" + each.slot)


def test_a_message_goes_all_its_way(mesh: SmallMesh) -> None:
    messages, _ = send(mesh)
    for node in mesh.nodes:
        mesh.run(register(mesh.session, INCARNATION, b"{}"), node)
    heard = []
    for node in mesh.nodes.values():
        node.subscribe(PREFIX + b"n:" + b"c" * 16, lambda _channel, notice: heard.append(notice))
    done = set()
    for node in mesh.nodes:
        found = mesh.run(claim(mesh.session, HOLDER, 1, 100, [b"default"], idle=False), node)
        assert found
        for each in found:
            done.add(each.task_id)
            assert set(mesh.versions(each.task_id).values()) == {each.token[:8]}
            verdict = mesh.run(
                commit(mesh.session, HOLDER, b"build", [], [each.task_id, each.token, b"K", b"outcome"])
            )
            assert verdict == b"o"
            before = len(heard)
            again = commit(mesh.session, HOLDER, b"build", [], [each.task_id, each.token, b"K", b"outcome"])
            assert mesh.run(again) == b"r"
            # what was told the first time may be lost with the view in which it was done
            assert heard[before:] == heard[before - 1 : before]
    assert done == {each.task_id for each in messages}
    assert b"".join(heard).count(b"outcome") == 2 * len(messages)
    for each in messages:
        for node in mesh.nodes:
            record = parse(mesh.record(node, each.task_id))
            assert (record.state, record.outcome) == (State.SUCCESS, b"outcome")
            assert each.task_id in mesh.members_of(node, b"F:" + each.slot)
            assert each.task_id not in mesh.members_of(node, b"L:" + each.slot)


def test_nobody_claims_from_a_copy(mesh: SmallMesh) -> None:
    messages, _ = send(mesh)
    view = mesh.standing.view
    wrong = next(each for each in messages if view.primary(int(each.slot, 16)) != "n1")
    # as a node has it that led the slot before
    mesh.nodes["n1"].call((b"RPUSH", PREFIX + b"q:default:4", wrong.task_id + b":00000001"))
    mesh.run(register(mesh.session, INCARNATION, b"{}"), "n1")
    found = mesh.run(claim(mesh.session, HOLDER, 1, 100, [b"default"], idle=False), "n1")
    assert wrong.task_id not in {each.task_id for each in found}
    assert {view.primary(int(parse(each.record).slot)) for each in found} == {"n1"}


def test_a_backup_that_is_down_is_not_waited_for(mesh: SmallMesh) -> None:
    mesh.nodes["n3"].crash()
    ready = [message(at) for at in range(40) if mesh.standing.view.primary(int(message(at).slot, 16)) != "n3"]
    sent = mesh.run(enqueue(mesh.session, ready, patience_s=0))
    assert len(sent.accepted) == len(ready)
    for each in ready:
        assert len(mesh.versions(each.task_id)) == 2


def test_too_few_copies_are_no_answer(mesh: SmallMesh) -> None:
    mesh.nodes["n2"].crash()
    mesh.nodes["n3"].crash()
    ready = [message(at) for at in range(40) if mesh.standing.view.primary(int(message(at).slot, 16)) == "n1"]
    sent = mesh.run(enqueue(mesh.session, ready, patience_s=0))
    assert not sent.accepted
    assert not sent.rejected
    assert len(sent.unknown) == len(ready)
    mesh.nodes["n2"].restart()
    again = mesh.run(enqueue(mesh.session, ready, patience_s=0, sent_before=True))
    assert len(again.accepted) == len(ready)
    # a repeat is completed, though the primary had it
    for each in ready:
        assert len(mesh.versions(each.task_id)) == 2


def idle_child(mesh: SmallMesh, holder: bytes = HOLDER, *queues: bytes) -> None:
    """Have a child wait for messages at every node."""
    for node in mesh.nodes:
        mesh.run(register(mesh.session, INCARNATION, b"{}"), node)
        assert not mesh.run(claim(mesh.session, holder, 1, 1, queues or [b"default"], idle=False), node)


def led_by(mesh: SmallMesh, node: str, count: int = 1, **more):
    """Return messages that a node leads."""
    led = (at for at in range(100) if mesh.standing.view.primary(int(message(at).slot, 16)) == node)
    return [message(next(led), **more) for _ in range(count)]


def wake_ups(mesh: SmallMesh, node: str, holder: bytes = HOLDER):
    return mesh.nodes[node].call((b"LRANGE", PREFIX + b"wake:" + holder, b"0", b"-1"))


def hand_over(mesh: SmallMesh, node: str, task_id: bytes):
    """Do what a sender does last; he may be late with it."""

    def steps():
        words = (mesh.standing.view.epoch, b"%d" % mesh.now_ms, HOLDER, b"00000002", task_id, b"00000001")
        return (yield Round([Call(HAND_OVER, PREFIX, words, node=node)], all_answered))[0][1]

    return mesh.converse(steps())


def test_a_message_is_handed_over_when_enough_copies_know_of_it(mesh: SmallMesh) -> None:
    idle_child(mesh)
    (sent,) = led_by(mesh, "n1")
    assert mesh.run(enqueue(mesh.session, [sent], patience_s=0)).accepted
    (wake_up,) = wake_ups(mesh, "n1")
    handed = handed_over(wake_up, 1, mesh.session.epoch)
    assert handed is not None
    assert (handed.task_id, handed.token) == (sent.task_id, mesh.record("n1", sent.task_id)[2:52])
    assert set(mesh.versions(sent.task_id).values()) == {handed.token[:8]}
    assert parse(handed.record).envelope == parse(sent.record).envelope
    # what is old, or of another view, only wakes
    assert handed_over(wake_up, 2, mesh.session.epoch) is None
    assert handed_over(wake_up, 1, make_view(2).epoch) is None
    # and it is the child's for good
    verdict = commit(mesh.session, HOLDER, b"build", [], [handed.task_id, handed.token, b"K", b"outcome"])
    assert mesh.run(verdict) == b"o"


def test_nothing_is_handed_over_that_too_few_copies_know_of(mesh: SmallMesh) -> None:
    idle_child(mesh)
    (sent,) = led_by(mesh, "n1")
    mesh.nodes["n2"].crash()
    mesh.nodes["n3"].crash()
    assert not mesh.run(enqueue(mesh.session, [sent], patience_s=0)).accepted
    assert wake_ups(mesh, "n1") == []
    assert mesh.run(unheard(mesh.session, HOLDER), "n1") == {sent.task_id.decode()}
    with pytest.raises(NodeUnavailable):
        mesh.run(claim(mesh.session, HOLDER, 2, 1, [b"default"], idle=True, patience_s=0), "n1")
    mesh.nodes["n2"].restart()
    # the child finds it by itself, and a sender who comes with it then is too late
    (found,) = mesh.run(claim(mesh.session, HOLDER, 2, 1, [b"default"], idle=True), "n1")
    assert (found.task_id, found.token) == (sent.task_id, mesh.record("n2", sent.task_id)[2:52])
    assert hand_over(mesh, "n1", sent.task_id) == 0
    assert wake_ups(mesh, "n1") == []


def test_a_message_is_handed_over_once(mesh: SmallMesh) -> None:
    idle_child(mesh)
    (sent,) = led_by(mesh, "n1")
    mesh.nodes["n2"].crash()
    mesh.nodes["n3"].crash()
    mesh.run(enqueue(mesh.session, [sent], patience_s=0))
    assert [hand_over(mesh, "n1", sent.task_id) for _ in range(2)] == [1, 0]
    assert len(wake_ups(mesh, "n1")) == 1


def test_who_is_about_to_be_handed_a_message_is_given_no_other(mesh: SmallMesh) -> None:
    # one that runs many at once, and waits for two queues
    many = INCARNATION + b"800001"
    idle_child(mesh, many, b"default", b"other")
    first, then = *led_by(mesh, "n1"), led_by(mesh, "n1", 2, queue=b"other")[1]
    mesh.nodes["n2"].crash()
    mesh.nodes["n3"].crash()
    mesh.run(enqueue(mesh.session, [first], patience_s=0))
    mesh.nodes["n2"].restart()
    assert mesh.run(enqueue(mesh.session, [then], patience_s=0)).accepted
    assert parse(mesh.record("n1", first.task_id)).state == State.STARTED
    assert mesh.record("n1", then.task_id)[1:2] == b"P"
    assert wake_ups(mesh, "n1", many) == []


def test_what_is_read_is_completed_first(mesh: SmallMesh) -> None:
    (sent,), _ = send(mesh, 1)
    primary = mesh.standing.view.primary(int(sent.slot, 16))
    backups = [node for node in mesh.nodes if node != primary]
    for node in backups:
        mesh.nodes[node].call((b"UNLINK", PREFIX + b"r:" + sent.task_id))
    mesh.nodes[backups[0]].crash()
    (found,) = mesh.run(read(mesh.session, [sent.task_id.decode()]))
    assert found is not None
    assert mesh.record(backups[1], sent.task_id) == sent.record
    mesh.nodes[backups[1]].crash()
    with pytest.raises(NodeUnavailable):
        mesh.run(read(mesh.session, [sent.task_id.decode()], patience_s=0))


def test_a_function_goes_with_the_message_that_needs_it(mesh: SmallMesh) -> None:
    name = b"%064x" % 1
    sent = message(1, function=name)
    assert mesh.run(enqueue(mesh.session, [sent], {name: b"signed function"}, patience_s=0)).accepted
    holders = [node for node in mesh.nodes if mesh.record(node, sent.task_id)]
    assert len(holders) >= 2
    for node in holders:
        assert mesh.nodes[node].call((b"GET", PREFIX + b"fn:" + name)) == b"signed function"
        assert mesh.nodes[node].call((b"HGET", PREFIX + b"fnref", name)) == b"1"


def test_a_newer_view_is_found_and_the_call_repeated_by_it(mesh: SmallMesh) -> None:
    old = mesh.standing.view
    newer = replace(make_view(2), table=tuple((*row[1:], row[0]) for row in old.table))
    for node in mesh.nodes:
        mesh.activate(node, newer)
    messages, sent = send(mesh)
    assert len(sent.accepted) == len(messages)
    assert mesh.standing.view == newer
    for each in messages:
        primary = newer.primary(int(each.slot, 16))
        hints = mesh.nodes[primary].call((b"LRANGE", PREFIX + b"q:default:4", 0, -1))
        assert each.task_id + b":00000001" in hints


def test_a_backup_of_another_view_does_not_count(mesh: SmallMesh) -> None:
    for node in ("n2", "n3"):
        mesh.nodes[node].call((b"SET", PREFIX + b"epoch", make_view(2).waiting))
    ready = [message(at) for at in range(40) if mesh.standing.view.primary(int(message(at).slot, 16)) == "n1"]
    sent = mesh.run(enqueue(mesh.session, ready, patience_s=0))
    assert not sent.accepted
    assert len(sent.unknown) == len(ready)


def test_versions_of_a_view_are_above_those_of_the_ones_before(mesh: SmallMesh) -> None:
    (sent,), _ = send(mesh, 1)
    newer = replace(make_view(37), table=mesh.standing.view.table)
    for node in mesh.nodes:
        mesh.activate(node, newer)
    primary = newer.primary(int(sent.slot, 16))
    mesh.run(register(mesh.session, INCARNATION, b"{}"), primary)
    (found,) = mesh.run(claim(mesh.session, HOLDER, 1, 100, [b"default"], idle=False), primary)
    assert found.token[:8] == b"00110000"
    # the same again, as after a lost answer
    assert (
        mesh.run(claim(mesh.session, HOLDER, 1, 100, [b"default"], idle=False), primary)[0].token
        == found.token
    )
    assert set(mesh.versions(sent.task_id).values()) == {b"00110000"}
    verdict = mesh.run(commit(mesh.session, HOLDER, b"build", [], [sent.task_id, found.token, b"K", b"x"]))
    assert verdict == b"o"
    verdict = mesh.run(commit(mesh.session, HOLDER, b"build", [], [sent.task_id, found.token, b"K", b"x"]))
    assert verdict == b"r"


def test_the_others_tell_of_the_view_that_goes_on_without_a_dead_primary(mesh: SmallMesh) -> None:
    """The dead one never says that ours is old; and nobody else is asked for what was its."""
    each = next(
        found for at in range(99) if mesh.standing.view.primary(int((found := message(at)).slot, 16)) == "n1"
    )
    newer = make_view(2)
    table = tuple(tuple(node for node in row if node != "n1") for row in newer.table)
    newer = replace(newer, table=table)
    mesh.nodes["n1"].running = False
    for node in ("n2", "n3"):
        mesh.activate(node, newer)
    with pytest.raises(NodeUnavailable):
        mesh.run(read_once(mesh, each.task_id))
    assert mesh.standing.view.number == 2
    assert mesh.run(read_once(mesh, each.task_id)) == [None]


def read_once(mesh: SmallMesh, task_id: bytes):
    return read(mesh.session, [task_id.decode()], patience_s=0)


def test_nobody_looks_for_a_view_longer_than_the_caller_has(mesh: SmallMesh) -> None:
    """All nodes wait for a view that does not come."""
    for node in mesh.nodes.values():
        node.call((b"SET", PREFIX + b"epoch", b"x%011x" % 2))
    looks = iter([True, True, False])

    def steps():
        return (yield [mesh.session.call(READ, b"id")])

    pauses, replies = drive(mesh, spread(steps(), mesh.standing, may_go_on=lambda: next(looks)))
    assert pauses == 2
    assert isinstance(replies[0], NoAnswer)


def drive(mesh: SmallMesh, conversation):
    """Run a conversation, and return how often it paused and its result."""
    pauses = 0
    try:
        request = next(conversation)
        while True:
            pauses += isinstance(request, Pause)
            request = conversation.send([] if isinstance(request, Pause) else mesh._round(request))
    except StopIteration as ended:
        return pauses, ended.value


def test_a_view_is_learned_from_servers_that_were_all_started_anew(mesh: SmallMesh) -> None:
    """As the members that they were nobody speaks with them; whoever answers at their addresses tells the view."""
    newer = replace(make_view(2), table=mesh.standing.view.table)
    for node in mesh.nodes:
        mesh.activate(node, newer)
    mesh.anew = set(mesh.nodes)
    send(mesh, 1)
    assert mesh.standing.view == newer


def test_a_send_that_met_two_views_is_known_to_be_its_own_repetition(mesh: SmallMesh) -> None:
    """Or its caller would be told that the id had been given before."""
    newer = replace(make_view(2), table=mesh.standing.view.table)
    ready = [message(at) for at in range(40) if newer.primary(int(message(at).slot, 16)) == "n1"]
    for node in ("n2", "n3"):
        mesh.activate(node, newer)
    # made by its primary, refused by the backups; then that is in the new view, too
    mesh.on_pause = lambda: mesh.activate("n1", newer)
    sent = mesh.run(enqueue(mesh.session, ready, patience_s=5))
    assert len(sent.accepted) == len(ready)
    assert sent.known
    assert set(sent.known) <= sent.resent
