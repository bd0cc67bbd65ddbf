"""Copies too large to travel as a whole: they come in pieces, and count when all of these are there."""

from __future__ import annotations

import copy
import re
from dataclasses import replace

import pytest

from taskmesh.core.steps import Call, NodeError
from taskmesh.errors import NodeUnavailable
from taskmesh.queue.claim import claim
from taskmesh.queue.commit import commit
from taskmesh.queue.enqueue import NewMessage, enqueue
from taskmesh.queue.workers import beat, register
from taskmesh.replication import pieces
from taskmesh.replication.copy import Copy
from taskmesh.replication.level import DISCARD, level
from taskmesh.replication.pieces import APPLY, PIECE_OF, TAKE_PIECE, ask_for_copies, bring, sort_copies
from taskmesh.replication.spread import spread
from taskmesh.results.large import PIECE
from taskmesh.results.read import forget, read, read_some
from tests.unit.replication.small_mesh import NOW_MS, PREFIX, SLOTS, SmallMesh, make_view, message

INCARNATION = b"a" * 16
HOLDER = INCARNATION + b"000001"
SIZE = pieces.PIECE_BYTES
FUNCTION = b"%064x" % 1


@pytest.fixture
def mesh() -> SmallMesh:
    return SmallMesh(make_view())


def led_by(mesh: SmallMesh, node: str, **more) -> NewMessage:
    return next(
        each
        for at in range(99)
        if mesh.standing.view.primary(int((each := message(at, **more)).slot, 16)) == node
    )


def large_at_primary(mesh: SmallMesh, *, function: bytes = b"") -> NewMessage:
    """Have a message of two and a half pieces on the node that leads its slot, and nowhere else."""
    sent = led_by(mesh, "n1", function=function)
    sent.record += bytes(range(256)) * (SIZE // 256 * 5 // 2)
    run = mesh.nodes["n1"].call
    run((b"SET", PREFIX + b"r:" + sent.task_id, sent.record))
    run((b"SADD", PREFIX + b"L:" + sent.slot, sent.task_id))
    return sent


def make(mesh: SmallMesh):
    def made(script, node, *args):
        return Call(script, PREFIX, (mesh.standing.view.epoch, b"%d" % mesh.now_ms, *args), node=node)

    return made


def copy_at(mesh: SmallMesh, node: str, task_id: bytes) -> Copy:
    call = ask_for_copies(make(mesh), node, [task_id])
    found = sort_copies([task_id], mesh._answer(call))
    return (found.whole + found.large)[0]


def brought(mesh: SmallMesh, sent: NewMessage, *nodes: str, **functions: bytes):
    found = copy_at(mesh, "n1", sent.task_id)
    given = {FUNCTION: functions["function"]} if functions else {}
    return mesh.converse(bring(make(mesh), "n1", nodes, found, given))


def take(mesh: SmallMesh, sent: NewMessage, at: int, piece: bytes, node: str = "n2", version: bytes = b""):
    size = b"%d" % len(sent.record)
    words = (sent.task_id, version or sent.record[2:10], size, b"%d" % at, piece)
    return mesh._answer(make(mesh)(TAKE_PIECE, node, *words))


def install(mesh: SmallMesh, sent: NewMessage, node: str = "n2"):
    size = b"%d" % len(sent.record)
    return mesh._answer(make(mesh)(APPLY, node, b"i", sent.task_id, size, sent.record[:108], b""))


def left_over(mesh: SmallMesh, node: str) -> set[bytes]:
    return {key for key in mesh.nodes[node].values if key.startswith((PREFIX + b"c:", PREFIX + b"coming"))}


def sizes(mesh: SmallMesh) -> int:
    """Return how many bytes the largest call had, or its arguments."""
    return max(sum(map(len, call.args)) for call in mesh.calls)


def test_scripts_and_callers_agree_on_what_is_large(mesh: SmallMesh) -> None:
    (said,) = re.findall(rb"LARGE_BYTES = (\d+)", read_script())
    assert int(said) == SIZE


def read_script() -> bytes:
    from taskmesh.results.read import READ

    return READ.source


def test_a_large_copy_comes_in_pieces(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    mesh.calls.clear()
    assert brought(mesh, sent, "n2", "n3") == {"n2": b"o", "n3": b"o"}
    for node in ("n2", "n3"):
        assert mesh.record(node, sent.task_id) == sent.record
        assert sent.task_id in mesh.members_of(node, b"L:" + sent.slot)
        assert not left_over(mesh, node)
    assert sizes(mesh) < SIZE + 1000
    assert sum(call.script is PIECE_OF for call in mesh.calls) == 3


def test_a_large_outcome_is_committed_and_read_with_enough_copies(mesh: SmallMesh) -> None:
    sent = led_by(mesh, "n1")
    assert mesh.run(enqueue(mesh.session, [sent], patience_s=0)).accepted
    mesh.run(register(mesh.session, INCARNATION, b"{}"), "n1")
    (claimed,) = mesh.run(claim(mesh.session, HOLDER, 1, 1, [b"default"], idle=False), "n1")
    heard = []
    mesh.nodes["n1"].subscribe(PREFIX + b"n:" + b"c" * 16, lambda _channel, notice: heard.append(notice))
    outcome = b"x" * (3 * SIZE)
    mesh.calls.clear()
    entry = [sent.task_id, claimed.token, b"K", outcome]
    assert mesh.run(commit(mesh.session, HOLDER, b"build", [], entry, patience_s=0)) == b"o"
    assert len({mesh.record(node, sent.task_id) for node in mesh.nodes}) == 1
    assert all(sum(map(len, call.args)) < SIZE + 1000 for call in mesh.calls if call.node != "n1")
    # too large to be told
    assert heard == [b"00000000"]
    (found,) = mesh.run(read(mesh.session, [sent.task_id.decode()]))
    assert found.outcome == outcome


def test_what_has_come_already_is_not_sent_again(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    assert take(mesh, sent, 0, sent.record[:SIZE]) == SIZE
    assert take(mesh, sent, SIZE, sent.record[SIZE : 2 * SIZE]) == 2 * SIZE
    mesh.calls.clear()
    assert brought(mesh, sent, "n2") == {"n2": b"o"}
    # the first says how much is there
    assert sum(call.script is TAKE_PIECE for call in mesh.calls) == 2
    assert mesh.record("n2", sent.task_id) == sent.record


def test_a_piece_that_comes_twice_or_too_early_changes_nothing(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    assert take(mesh, sent, SIZE, sent.record[SIZE : 2 * SIZE]) == 0
    assert take(mesh, sent, 0, sent.record[:SIZE]) == SIZE
    assert take(mesh, sent, 0, sent.record[:SIZE]) == SIZE
    assert take(mesh, sent, 2 * SIZE, sent.record[2 * SIZE :]) == SIZE
    assert install(mesh, sent) == b"n"
    assert mesh.record("n2", sent.task_id) is None
    assert take(mesh, sent, SIZE, sent.record[SIZE : 2 * SIZE]) == 2 * SIZE
    assert take(mesh, sent, 2 * SIZE, sent.record[2 * SIZE :]) == len(sent.record)
    assert install(mesh, sent) == b"o"
    assert install(mesh, sent) == b"o"
    assert mesh.record("n2", sent.task_id) == sent.record
    assert take(mesh, sent, 0, sent.record[:SIZE]) == -1
    assert not left_over(mesh, "n2")


def test_pieces_of_a_newer_version_take_the_place_of_older_ones(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    newer = copy.copy(sent)
    newer.record = sent.record[:2] + b"00010001" + b"y" * (len(sent.record) - 10)
    assert take(mesh, sent, 0, sent.record[:SIZE]) == SIZE
    assert take(mesh, newer, SIZE, newer.record[SIZE : 2 * SIZE]) == 0
    assert take(mesh, newer, 0, newer.record[:SIZE]) == SIZE
    assert take(mesh, sent, SIZE, sent.record[SIZE : 2 * SIZE]) == -2
    assert mesh.nodes["n2"].values[PREFIX + b"c:" + sent.task_id] == newer.record[:SIZE]


def test_pieces_of_what_has_come_as_a_whole_meanwhile_are_let_go_of(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    assert take(mesh, sent, 0, sent.record[:SIZE]) == SIZE
    newer = sent.record[:2] + b"00010001" + sent.record[10:200]
    mesh.nodes["n2"].call((b"SET", PREFIX + b"r:" + sent.task_id, newer))
    assert install(mesh, sent) == b"o"
    assert mesh.record("n2", sent.task_id) == newer
    assert not left_over(mesh, "n2")


def test_pieces_that_are_outdated_go_with_the_next_of_them(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    assert take(mesh, sent, 0, sent.record[:SIZE]) == SIZE
    newer = sent.record[:2] + b"00010001" + sent.record[10:200]
    mesh.nodes["n2"].call((b"SET", PREFIX + b"r:" + sent.task_id, newer))
    assert take(mesh, sent, SIZE, sent.record[SIZE : 2 * SIZE]) == -1
    assert not left_over(mesh, "n2")


def test_pieces_of_a_result_go_when_it_is_forgotten(mesh: SmallMesh) -> None:
    """On who leads the record, on one that had it, and on one that had nothing of it but pieces."""
    sent = final_with(mesh, b"o" * (SIZE + SIZE // 2))
    sent.record = sent.record[:74] + b"%012x" % NOW_MS + sent.record[86:]
    for node in mesh.nodes.values():
        node.call((b"SET", PREFIX + b"r:" + sent.task_id, sent.record))
    mesh.nodes["n3"].call((b"DEL", PREFIX + b"r:" + sent.task_id))
    for node in mesh.nodes.values():
        coming = b"%012x" % NOW_MS + mesh.standing.view.epoch + sent.record[2:10] + b"%d" % len(sent.record)
        node.call((b"HSET", PREFIX + b"coming", sent.task_id, coming))
        node.call((b"SET", PREFIX + b"c:" + sent.task_id, sent.record[:SIZE]))
    assert mesh.run(forget(mesh.session, [sent.task_id.decode()])) == 1
    for node in mesh.nodes:
        assert (len(mesh.record(node, sent.task_id)), left_over(mesh, node)) == (108 + len("default"), set())


def test_pieces_of_what_is_newer_stay_when_an_older_end_arrives(mesh: SmallMesh) -> None:
    sent = final_with(mesh, b"o" * (SIZE + SIZE // 2))
    older = b"1K00000001" + sent.record[10:94] + b"00000000" + sent.record[102:200]
    mesh.nodes["n2"].call((b"DEL", PREFIX + b"r:" + sent.task_id))
    assert take(mesh, sent, 0, sent.record[:SIZE], version=b"00010001") == SIZE
    assert mesh._answer(make(mesh)(APPLY, "n2", b"w", sent.task_id, older, b"")) == b"o"
    assert left_over(mesh, "n2")


def test_pieces_go_with_a_copy_that_its_primary_does_not_have(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    newer = sent.record[:2] + b"00010001"
    mesh.nodes["n2"].call((b"SET", PREFIX + b"r:" + sent.task_id, sent.record[:200]))
    assert take(mesh, sent, 0, sent.record[:SIZE], version=newer[2:]) == SIZE
    words = (sent.slot, sent.task_id, sent.record[2:10])
    assert mesh._answer(make(mesh)(DISCARD, "n2", *words)) == 1
    assert not left_over(mesh, "n2")


def test_what_was_begun_in_another_view_gives_way(mesh: SmallMesh) -> None:
    """Also to an older version: what is newer may never have counted."""
    sent = large_at_primary(mesh)
    assert take(mesh, sent, 0, b"z" * SIZE, version=b"zzzz0000") == SIZE
    old = mesh.standing.view
    newer = replace(make_view(2), table=old.table)
    for node in mesh.nodes:
        mesh.activate(node, newer)
    stale = take(mesh, sent, 0, sent.record[:SIZE])
    assert isinstance(stale, NodeError)
    assert stale.text.startswith("STALEVIEW")
    mesh.standing.take(newer)
    assert brought(mesh, sent, "n2") == {"n2": b"o"}
    assert mesh.record("n2", sent.task_id) == sent.record


def test_a_copy_that_changes_on_its_way_arrives_as_it_is_then(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    newer = sent.record[:2] + b"00010001" + sent.record[10:108] + b"w" * (2 * SIZE)
    found = copy_at(mesh, "n1", sent.task_id)
    steps = bring(make(mesh), "n1", ["n2"], found, {})
    request = next(steps)
    for _ in range(2):
        request = steps.send(mesh._round(request))
    mesh.nodes["n1"].call((b"SET", PREFIX + b"r:" + sent.task_id, newer))
    assert mesh.go_on(steps, request) == {"n2": b"o"}
    assert mesh.record("n2", sent.task_id) == newer


def test_a_node_that_is_away_does_not_keep_the_others_from_it(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    mesh.nodes["n3"].crash()
    found = brought(mesh, sent, "n2", "n3")
    assert found["n2"] == b"o"
    assert not isinstance(found["n3"], bytes)


def test_its_function_comes_first(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh, function=FUNCTION)
    assert brought(mesh, sent, "n2") == {"n2": b"F"}
    assert mesh.record("n2", sent.task_id) is None
    assert brought(mesh, sent, "n2", function=b"signed") == {"n2": b"o"}
    run = mesh.nodes["n2"].call
    assert run((b"GET", PREFIX + b"fn:" + FUNCTION)) == b"signed"
    assert run((b"HGET", PREFIX + b"fnref", FUNCTION)) == b"1"


def test_backups_are_made_level_in_pieces(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    many = [each for at in range(400) if (each := message(at)).slot == sent.slot][1:7]
    for each in many:
        each.record += b"e" * (SIZE // 4)
    mesh.nodes["n3"].crash()
    mesh.run(enqueue(mesh.session, many, patience_s=0))
    mesh.nodes["n3"].restart()
    mesh.calls.clear()
    found = mesh.converse(level(mesh.standing, range(SLOTS)))
    assert sorted(found.compared) == list(range(SLOTS))
    for each in (sent, *many):
        assert {mesh.record(node, each.task_id) for node in mesh.nodes} == {each.record}
    assert sizes(mesh) < SIZE + SIZE // 100


def sweep(mesh: SmallMesh) -> None:
    mesh.run(register(mesh.session, INCARNATION, b"{}"), "n2")
    for _ in range(5):
        mesh.run(beat(mesh.session, INCARNATION), "n2")


def test_what_was_left_behind_goes_after_a_while(mesh: SmallMesh) -> None:
    sent = large_at_primary(mesh)
    assert take(mesh, sent, 0, sent.record[:SIZE], node="n2") == SIZE
    assert left_over(mesh, "n2")
    mesh.now_ms = NOW_MS + 9 * 60_000
    assert take(mesh, sent, SIZE, sent.record[SIZE : 2 * SIZE]) == 2 * SIZE
    mesh.now_ms = NOW_MS + 12 * 60_000
    sweep(mesh)
    # looked for, and still coming
    assert left_over(mesh, "n2")
    mesh.now_ms = NOW_MS + 30 * 60_000
    sweep(mesh)
    assert not left_over(mesh, "n2")
    assert mesh.record("n1", sent.task_id) == sent.record


def test_a_large_outcome_is_read_in_pieces(mesh: SmallMesh) -> None:
    sent = final_with(mesh, b"o" * (SIZE + SIZE // 2))
    small = final_with(mesh, b"small", 2)
    mesh.replies.clear()
    found = mesh.run(read(mesh.session, [small.task_id.decode(), sent.task_id.decode()]))
    assert [each.outcome for each in found] == [b"small", b"o" * (SIZE + SIZE // 2)]
    assert max(length(reply) for reply in mesh.replies) < SIZE + 2000


def test_an_outcome_that_is_dropped_while_it_is_read_is_read_anew(mesh: SmallMesh) -> None:
    sent = final_with(mesh, b"o" * (2 * SIZE))
    steps = spread(read_some(mesh.session, [sent.task_id.decode()]), mesh.standing)
    request = steps.send(mesh._round(next(steps)))
    while not any(call.script is PIECE for call in request.calls):
        request = steps.send(mesh._round(request))
    dropped = sent.record[:94] + b"00000000" + sent.record[102:]
    mesh.nodes["n1"].call((b"SET", PREFIX + b"r:" + sent.task_id, dropped))
    (found,) = mesh.go_on(steps, request)
    assert isinstance(found, NodeUnavailable)
    (found,) = mesh.run(read(mesh.session, [sent.task_id.decode()]))
    assert found.outcome == b""


def final_with(mesh: SmallMesh, outcome: bytes, nth: int = 0) -> NewMessage:
    """Have a message that has succeeded on all nodes; the first one is led."""
    led = [message(at) for at in range(99)]
    sent = [each for each in led if mesh.standing.view.primary(int(each.slot, 16)) == "n1"][nth]
    record = sent.record
    stop = 108 + sum(int(record[at : at + 2], 16) for at in (102, 104, 106))
    sent.record = b"1K" + record[2:94] + b"%08x" % len(outcome) + record[102:stop] + outcome
    for node in mesh.nodes.values():
        node.call((b"SET", PREFIX + b"r:" + sent.task_id, sent.record))
    return sent


def length(reply: object) -> int:
    """Return how many bytes an answer has."""
    if isinstance(reply, list):
        return sum(map(length, reply))
    return len(reply) if isinstance(reply, bytes) else 0
