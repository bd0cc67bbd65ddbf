"""What workers and operators see of many nodes is what they would see if all of it stood on one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given

import taskmesh
from taskmesh.coordination.install import install
from taskmesh.coordination.settle import settle
from taskmesh.core import keys
from taskmesh.core.steps import Session, Steps
from taskmesh.errors import InvariantBroken, LeadershipLost, NodeFault, NodeUnavailable
from taskmesh.queue import dead, inspect
from taskmesh.queue.backlog import backlogs
from taskmesh.queue.claim import ELSEWHERE, claim
from taskmesh.queue.commit import commit
from taskmesh.queue.control import give_orders
from taskmesh.queue.expire import expire, expired
from taskmesh.queue.manage import FORGOTTEN, HAS_MESSAGES, Status, forget_queue, peek, revoke, status
from taskmesh.queue.oldest import oldest
from taskmesh.queue.pause import pause, paused_queues, resume
from taskmesh.queue.rate import BEGIN, GO_ON, ask_start, hasten, held_back
from taskmesh.queue.setting import operated, put_rate_limit, put_weight
from taskmesh.queue.wish import Wish, note_wish, settle_wish, wishes
from taskmesh.queue.workers import Serves, register, unpark
from taskmesh.replication.accept import accept_key, refuse_key
from taskmesh.replication.ask import plain
from taskmesh.replication.join import join
from taskmesh.replication.route_commands import route_plain
from taskmesh.replication.routes import PINNED, ROUTES, Pinned
from taskmesh.replication.view import Member, View
from tests.property.routed_mesh import PREFIX, ManyNodes, at
from tests.property.routed_scene import HOLDER, INCARNATION, QUEUES, SLOTS, Both, few, seeds, views

IDLE = INCARNATION + b"000002"
NAMES = [queue.decode() for queue in QUEUES]


def on_each(both: Both, make: Callable[[Session], Steps[Any]]) -> None:
    """Run a protocol on each node of both meshes."""
    for mesh in both.meshes:
        for node in mesh.nodes:
            mesh.run(at(node, make(mesh.session)))


def queues_of(mesh: ManyNodes) -> list[Any]:
    """Return what each node says of which queues its dead letters are."""
    found = [mesh.run(at(node, dead.dead_queues(mesh.session, 100))) for node in mesh.nodes]
    return [letters.items() for _, letters in found]


def ordered(make: Callable[..., Steps[Any]]) -> Callable[..., Steps[Any]]:
    """Return the protocol with its result sorted, where each node has an order of its own."""

    def run(session: Session, *args: Any) -> Steps[Any]:
        return sorted((yield from make(session, *args)))

    return run


def end_some(both: Both, letter: bytes) -> None:
    """End what is claimed, some of it at one time and some at another."""
    tokens = list(both.claim().items())
    for start in range(0, len(tokens), 3):
        for mesh in both.meshes:
            mesh.now_ms += 7
        rest = letter, b"9000000000000" if letter == b"S" else b"why"
        some = tokens[start : start + 3]
        entries = [word for task_id, token in some for word in (task_id.encode(), token, *rest)]
        both.same(commit, HOLDER, b"build", [], entries)


@few
@given(views(), seeds)
def test_counts_are_those_of_all_nodes(view, seed):
    both = Both(view, seed)
    both.send(15)
    end_some(both, b"K")
    both.send(8)
    on_each(both, lambda session: claim(session, IDLE, 1, 1, [b"other"], idle=False))

    def counted(session: Session) -> Steps[Status]:
        found = yield from status(session)
        assert all(beat == 1 for _, _, beat, _, _ in found.workers)
        return found

    both.same(counted)
    both.same(backlogs, NAMES)
    both.same(oldest, NAMES)
    assert both.many.run(status(both.many.session)).idle["mail"] == 0


@few
@given(views(), seeds)
def test_a_child_that_is_idle_on_several_nodes_is_one(view, seed):
    both = Both(view, seed)
    on_each(both, lambda session: register(session, INCARNATION, b"{}"))
    on_each(both, lambda session: claim(session, HOLDER, 1, 1, QUEUES, idle=False))
    on_each(both, lambda session: claim(session, IDLE, 1, 1, QUEUES[:1], idle=False))
    on_each(both, lambda session: plain(session, b"SADD", keys.queues(PREFIX), *QUEUES))
    assert both.same(status).idle == {"mail": 2, "slow": 1}


def test_of_very_many_idle_children_those_of_one_node_are_counted():
    both = Both(halves(), 1)
    for mesh in both.meshes:
        for name, node in mesh.nodes.items():
            node.call((b"SADD", keys.queues(PREFIX), b"mail"))
            scored = [
                word for child in range(300 if name != "n2" else 10) for word in (b"1", b"%022x" % child)
            ]
            node.call((b"ZADD", PREFIX + b"idle:mail", *scored))
    assert both.same(status).idle == {"mail": 300}


@few
@given(views(), seeds)
def test_what_operators_set_is_set_on_all_nodes(view, seed):
    both = Both(view, seed)
    for _ in range(2):
        both.same(pause, "mail")
        both.same(put_weight, "mail", 5)
        both.same(put_rate_limit, "task", "5/s")
        both.same(note_wish, "mail", Wish("paused", "op"), b":weight")
    assert both.same(paused_queues) == ["mail"]
    both.same(operated)
    both.same(wishes, b":weight")
    assert all(node.call((b"SCARD", keys.paused(PREFIX))) == 1 for node in both.many.nodes.values())
    both.same(settle_wish, "mail", Wish("going", "other"), b":weight")
    both.same(settle_wish, "mail", Wish("paused", "op"), b":weight")
    assert both.same(wishes, b":weight") == {}
    both.same(resume, "mail")
    assert both.same(paused_queues) == []


@few
@given(views(), seeds)
def test_queues_are_looked_at_and_forgotten_alike(view, seed):
    both = Both(view, seed)
    both.send(10)
    for queue in NAMES:
        both.same(ordered(peek), queue, 100)
        both.same(forget_queue, queue)
    end_some(both, b"K")
    before = both.same(status).stats
    for queue in NAMES:
        both.same(forget_queue, queue)
        both.same(forget_queue, queue)
    assert before
    assert both.same(status).stats == {}


def halves() -> View:
    """Return a view of two nodes that lead half of the slots each."""
    members = tuple(Member(node, node, f"instance {node}", f"run of {node}") for node in ("n1", "n2"))
    return View(
        1,
        "active",
        SLOTS,
        1,
        members,
        tuple((("n1" if slot < SLOTS / 2 else "n2"),) for slot in range(SLOTS)),
    )


def test_no_node_forgets_a_queue_that_another_has_to_keep():
    both = Both(halves(), 1)
    for node in both.many.nodes.values():
        node.call((b"SADD", keys.queues(PREFIX), b"mail"))
    both.many.nodes["n2"].call((b"SADD", PREFIX + b"blk:mail", b"id"))
    assert both.many.run(forget_queue(both.many.session, "mail")) == HAS_MESSAGES
    assert both.many.nodes["n1"].call((b"SCARD", keys.queues(PREFIX))) == 1
    both.many.nodes["n2"].call((b"DEL", PREFIX + b"blk:mail"))
    assert both.many.run(forget_queue(both.many.session, "mail")) == FORGOTTEN


def test_a_look_takes_turns_between_nodes():
    both = Both(halves(), 1)
    both.send(30)
    found = both.many.run(peek(both.many.session, "mail", 4))
    slots = {each.task_id.decode(): int(each.slot, 16) for each in both.sent}
    primaries = [both.many.view.primary(slots[task_id]) for task_id, _ in found]
    assert primaries == ["n1", "n2", "n1", "n2"]


@few
@given(views(), seeds)
def test_dead_letters_are_listed_in_their_order_page_by_page(view, seed):
    both = Both(view, seed)
    both.send(20)
    end_some(both, b"D")
    with patch.object(dead, "RECORDS_MAX", 2), patch.object(dead, "IDS_MAX", 3):
        for newest_first in (True, False):
            for most in (1, 5, 100):
                total, letters = both.same(partial(dead.dead_letters, newest_first=newest_first), most)
                assert len(letters) == min(most, total)
        ids = both.same(dead.dead_ids)
        assert len(set(ids)) == len(ids) == total
        one, many = (dict(chain.from_iterable(queues_of(mesh))) for mesh in both.meshes)
        assert one == many
        assert set(many) == set(ids)
        both.same(dead.drop, ids[::2] + both.ids)
        both.same(dead.dead_ids)


@few
@given(views(), seeds)
def test_what_waits_for_its_time_is_listed_in_its_order_page_by_page(view, seed):
    both = Both(view, seed)
    both.send(20)
    end_some(both, b"S")
    both.send(4)
    some = both.ids[::3]
    both.same(revoke, [(task_id.encode(), b"", b"why") for task_id in some])
    with patch.object(inspect, "RECORDS_MAX", 2):
        for start, most in ((0, 1), (0, 7), (3, 4), (0, 100)):
            both.same(inspect.scheduled, most, start)


def test_what_a_node_lists_of_slots_that_it_leads_no_more_is_not_listed_twice():
    both = Both(halves(), 1)
    both.send(20)
    end_some(both, b"D")
    first, second = both.many.nodes.values()
    listed = first.call((b"ZRANGE", PREFIX + b"dead", b"0", b"-1", b"WITHSCORES"))
    for task_id, score in zip(listed[::2], listed[1::2], strict=True):
        second.call((b"ZADD", PREFIX + b"dead", score, task_id))
    with patch.object(dead, "IDS_MAX", 2):
        both.same(dead.dead_ids)


@few
@given(views(), seeds)
def test_parked_messages_go_back_from_all_nodes(view, seed):
    both = Both(view, seed)
    both.send(20)
    end_some(both, b"S")
    both.same(unpark, Serves("build", NAMES), INCARNATION)
    both.same(unpark, Serves("other build", NAMES), INCARNATION)
    both.same(unpark, Serves("other build", NAMES), INCARNATION)
    both.check()


@few
@given(views(), seeds)
def test_what_was_not_begun_in_time_is_found_on_all_nodes(view, seed):
    both = Both(view, seed)
    both.send(20)
    for mesh in both.meshes:
        mesh.now_ms += 600
    found = both.same(ordered(expired))
    both.same(expire, [(task_id.encode(), version, b"why") for task_id, version in found])
    assert both.same(expired) == []
    both.check()


@few
@given(views(), seeds)
def test_workers_and_what_they_hold_are_seen_as_one(view, seed):
    both = Both(view, seed)
    both.send(20)
    claimed = both.claim()
    on_each(
        both, lambda session: plain(session, b"HSET", keys.worker(PREFIX, INCARNATION), b"report", b"told")
    )
    both.same(inspect.workers)

    def held(session: Session) -> Steps[list[str]]:
        found = yield from inspect.holdings(session, [HOLDER, IDLE], 1000)
        assert found[1] == []
        return sorted(each.task_id for each in found[0])

    assert both.same(held) == sorted(claimed)
    both.same(inspect.records, both.ids)
    both.same(inspect.begun, INCARNATION)
    assert both.same(give_orders, [INCARNATION, b"f" * 16], b"order") == 1


def test_a_worker_that_lives_for_one_node_lives():
    both = Both(halves(), 1)
    key = keys.worker(PREFIX, INCARNATION)
    first, second = both.many.nodes.values()
    first.call((b"HSET", key, b"state", b"dead", b"info", b"{}", b"report", b"old", b"s000001", b"00000002"))
    second.call((b"HSET", key, b"state", b"live", b"info", b"{1}", b"report", b"r", b"s000001", b"ffffffff"))
    second.call((b"HSET", key, b"s000002", b"00000001"))
    for node in (first, second):
        node.call((b"SADD", keys.workers(PREFIX), INCARNATION))
    session = both.many.session
    (seen,) = both.many.run(inspect.workers(session))
    assert (seen.state, seen.info, seen.report) == ("live", b"{1}", b"r")
    assert both.many.run(inspect.begun(session, INCARNATION)) == 1
    assert [worker[:2] for worker in both.many.run(status(session)).workers] == [
        (INCARNATION.decode(), "live")
    ]
    assert both.many.run(give_orders(session, [INCARNATION], b"order")) == 1


@few
@given(views(), seeds)
def test_a_limit_is_one_for_all_nodes(view, seed):
    both = Both(view, seed)
    both.send(12)
    tokens = both.claim()
    both.same(put_rate_limit, "task", "7/s")
    entries: list[bytes] = []
    for task_id, token in tokens.items():
        start = both.same(ask_start, "task", None, task_id)
        if not start.granted:
            entries += (task_id.encode(), token, b"Z", b"%d" % ceil(start.moment_ms))
    due = [(entry[0].decode(), "task", int(entry[3])) for entry in zip(*[iter(entries)] * 4, strict=True)]
    for some in (due, [(task_id, "task", moment_ms + 1) for task_id, _, moment_ms in due]):
        assert both.same(held_back, some) == {each[0] for each in some if some is due}
    both.same(commit, HOLDER, b"build", [], entries[4:])
    both.same(put_rate_limit, "task", "100/s")
    both.same(hasten, "task", BEGIN)
    both.same(commit, HOLDER, b"build", [], entries)
    both.same(hasten, "task", GO_ON)
    both.same(inspect.scheduled, 100)
    both.check()


@few
@given(views(), seeds)
def test_keys_are_accepted_by_all_nodes(view, seed):
    both = Both(view, seed)
    epoch = both.many.session.epoch
    on_each(both, lambda session: join(session, mesh_id="m", slots=SLOTS, key_id="one"))
    both.many.session.epoch = epoch
    both.same(partial(accept_key, by="one"), "two")
    both.same(partial(refuse_key, by="two"), "one")
    with pytest.raises(NodeFault, match="NOTACCEPTED"):
        both.same(partial(accept_key, by="one"), "three")


def test_a_leader_is_known_to_those_that_answer_and_obeyed_by_none_that_knows_a_newer_one():
    mesh = ManyNodes(halves())
    mesh.nodes["n1"].running = False
    mesh.run(install(mesh.session, 7))
    mesh.run(settle(mesh.session, 7, mesh.now_ms))
    mesh.nodes["n1"].running = True
    assert mesh.run(plain(mesh.session, b"GET", keys.leader(PREFIX))) == b"7"
    mesh.run(install(mesh.session, 8))
    mesh.nodes["n1"].call((b"SET", keys.leader(PREFIX), b"10"))
    with pytest.raises(LeadershipLost):
        mesh.run(install(mesh.session, 9))
    for node in mesh.nodes.values():
        node.running = False
    with pytest.raises(NodeUnavailable):
        mesh.run(install(mesh.session, 11))


def test_a_pause_that_one_node_does_not_hear_of_is_none():
    mesh = ManyNodes(halves())
    mesh.nodes["n2"].running = False
    with pytest.raises(NodeUnavailable):
        mesh.run(pause(mesh.session, "mail", patience_s=1.0))
    assert mesh.run(paused_queues(mesh.session)) == ["mail"]


def test_the_seat_with_the_highest_number_counts():
    mesh = ManyNodes(halves())
    first, second = mesh.nodes.values()
    first.call((b"SET", keys.seat(PREFIX), b"9 a"))
    second.call((b"SET", keys.seat(PREFIX), b"10 b"))
    assert mesh.run(plain(mesh.session, b"GET", keys.seat(PREFIX))) == b"10 b"
    second.running = False
    assert mesh.run(plain(mesh.session, b"GET", keys.seat(PREFIX))) == b"9 a"


def test_a_scan_goes_on_where_it_stood_on_each_node_until_it_is_through_on_all():
    key = keys.run(PREFIX, HOLDER)
    began = route_plain(halves(), PREFIX, (b"HSCAN", key, b"0", b"COUNT", b"20"))
    assert [(node, words[2]) for node, words in began.calls] == [("n1", b"0"), ("n2", b"0")]
    cursor, found = began.merge([[b"17", [b"a", b"b"]], [b"5", [b"c", b"d"]]])
    assert found == [b"a", b"b", b"c", b"d"]
    going = route_plain(halves(), PREFIX, (b"HSCAN", key, cursor, b"COUNT", b"20"))
    assert [(node, words[2]) for node, words in going.calls] == [("n1", b"17"), ("n2", b"5")]
    cursor, _ = going.merge([[b"0", []], [b"9", []]])
    last = route_plain(halves(), PREFIX, (b"HSCAN", key, cursor, b"COUNT", b"20"))
    assert [(node, words[2]) for node, words in last.calls] == [("n2", b"9")]
    assert last.merge([[b"0", [b"e", b"f"]]]) == [b"0", [b"e", b"f"]]


def test_a_place_on_one_node_is_none_on_several():
    with pytest.raises(InvariantBroken, match="b'17' is a place in the list of one node"):
        route_plain(halves(), PREFIX, (b"HSCAN", keys.run(PREFIX, HOLDER), b"17"))


def test_a_plain_command_about_one_nodes_own_things_must_name_it():
    with pytest.raises(Pinned, match=r"BLPOP .*wake.* is about one node's own things"):
        route_plain(halves(), PREFIX, (b"BLPOP", keys.wake(PREFIX, HOLDER), b"1"))


def test_every_script_of_the_mesh_has_a_route_or_must_name_a_node():
    names = set()
    for room in ("coordination", "queue", "results"):
        for path in Path(taskmesh.__file__).parent.joinpath(room).glob("*.lua"):
            names.add(f"{room}.{path.stem}")
    routed = {name.removesuffix(" (fenced)") for name in ROUTES} - {"replication.accept"}
    assert routed | PINNED == names


def test_what_was_claimed_on_a_node_that_is_no_more_is_seen_on_the_one_that_leads_it_now():
    both = Both(halves(), 1)
    node = both.many.nodes["n2"]
    lease = b"f00000000001" + HOLDER + b"%08x" % 5
    node.call((b"SET", keys.record(PREFIX, "one"), b"1T" + b"00000002" + lease + b"0" * 56))
    node.call((b"HSET", keys.run(PREFIX, HOLDER), b"~000300000005", b"one"))
    ((held,),) = both.many.run(at("n2", inspect.holdings(both.many.session, [HOLDER], 10)))
    assert held.task_id == "one"
    assert held.sequence > ELSEWHERE
