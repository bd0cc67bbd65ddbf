"""What becomes of keys and claims when a node leads a slot from now on: by what stands beside records."""

from __future__ import annotations

from typing import Any

from taskmesh.core.keys import prefix
from taskmesh.core.script import Script
from taskmesh.replication import scripts
from taskmesh.testing.simulated_node import SimulatedNode

PREFIX = prefix("small")
EPOCH, NOW_MS, TOKEN = b"x00000000002", 1_800_000_000_000, b"1"
HOLDER, FREE = b"a" * 16 + b"000001" + b"0000000b", b"0" * 30
NEVER = b"ffffffffffff"


def record(state: bytes, *, created: int = NOW_MS, lease: bytes = FREE, slot: int = 3) -> bytes:
    """Return a record."""
    epoch = b"f00000000001" if lease != FREE else b"0" * 12
    head = b"1" + state + b"00010000" + epoch + lease + b"%04x" % slot + b"0100" + b"40"
    return head + b"%012x" % created + b"%012x" % 0 + b"%08x" % 3600 + b"0" * 8 + b"040000" + b"mail" + b"env"


def side(**fields: bytes) -> bytes:
    """Return what stands beside a record."""
    order = ("expires", "unique", "mode", "until", "idempotency", "given_for", "task", "sequence", "position")
    return b"|".join(fields.get(name, b"") for name in order)


def node_with(**messages: tuple[bytes, bytes]) -> SimulatedNode:
    """Return a node with copies of some messages of slot 3, each a record and what stands beside it."""
    node = SimulatedNode()
    node.call([b"SET", PREFIX + b"epoch", EPOCH])
    for name, (copy, beside) in messages.items():
        final = copy[1:2] in b"KFVXD"
        node.call([b"SET", PREFIX + b"r:" + name.encode(), copy])
        node.call([b"SADD", PREFIX + (b"F:" if final else b"L:") + b"0003", name])
        if beside:
            node.call([b"HSET", PREFIX + b"side", name, beside])
    return node


def run(node: SimulatedNode, script: Script, *args: bytes, now_ms: int = NOW_MS, token: bytes = TOKEN) -> Any:
    """Run a script of a leader."""
    return node.eval(script.source, [PREFIX], [EPOCH, b"%d" % now_ms, token, *args])


def promote(node: SimulatedNode) -> None:
    """Have the node lead slot 3; each step twice, for an answer may be lost."""
    for _ in range(2):
        for kind in scripts.SETS:
            assert run(node, scripts.PROMOTE, b"0003", kind, b"0", b"100") == b"0"
    while run(node, scripts.PROMOTE_LINES, b"1"):
        pass


def test_who_held_a_key_until_it_was_started_holds_it_no_more() -> None:
    """Its claim let go of the key, which stands beside the record; one that was never claimed still holds it."""
    key = {"unique": b"ab" * 16, "mode": b"s", "until": NEVER}
    node = node_with(ran=(record(b"P", lease=HOLDER), side(**key)))
    promote(node)
    assert node.call([b"HGETALL", PREFIX + b"uq"]) == []

    node = node_with(waits=(record(b"P"), side(**key)))
    promote(node)
    assert node.call([b"HGET", PREFIX + b"uq", b"ab" * 16]) == NEVER + b"waits"
    assert node.call([b"HGET", PREFIX + b"us", b"waits"]) == b"ab" * 16


def test_a_key_whose_time_was_over_is_held_by_who_took_it_then() -> None:
    """Whatever the order in which they are gone through; and by nobody when that time is over as well."""
    early = side(unique=b"ab" * 16, mode=b"f", until=b"%012x" % (NOW_MS + 1))
    late = side(unique=b"ab" * 16, mode=b"f", until=b"%012x" % (NOW_MS + 9))
    over = side(unique=b"cd" * 16, mode=b"f", until=b"%012x" % (NOW_MS - 1))
    for first, second in ((early, late), (late, early)):
        node = node_with(a=(record(b"P"), first), b=(record(b"P"), second), c=(record(b"P"), over))
        promote(node)
        holder = b"b" if second == late else b"a"
        assert node.call([b"HGETALL", PREFIX + b"uq"]) == [b"ab" * 16, b"%012x" % (NOW_MS + 9) + holder]


def test_an_idempotency_key_leads_to_the_last_message_that_was_sent_by_it() -> None:
    """Also when that is final, and whatever the order in which they are gone through."""
    key = side(idempotency=b"ab" * 16, given_for=b"cd" * 16, task=b"6d6f64")
    ended, again = record(b"K"), record(b"P", created=NOW_MS + 5)
    for messages in ({"a": (ended, key), "b": (again, key)}, {"b": (ended, key), "a": (again, key)}):
        node = node_with(**messages)
        promote(node)
        last = next(name.encode() for name, (copy, _) in messages.items() if copy == again)
        assert node.call([b"HGETALL", PREFIX + b"ik"]) == [b"ab" * 16, b"cd" * 16 + last + b" 6d6f64"]
        assert node.call([b"HGETALL", PREFIX + b"ikid"]) == [last, b"ab" * 16]


def test_what_runs_stands_once_in_the_index_of_its_holder() -> None:
    """Under a name that no claim of this node has; and the holder is known, for somebody has to find it dead."""
    node = node_with(a=(record(b"T", lease=HOLDER), b""), b=(record(b"T", lease=HOLDER), b""))
    promote(node)
    assert node.call([b"HGETALL", PREFIX + b"run:" + HOLDER[:22]]) == [b"~00030000000b", b"a\nb"]
    assert node.call([b"SMEMBERS", PREFIX + b"workers"]) == [HOLDER[:16]]
    assert node.call([b"HMGET", PREFIX + b"w:" + HOLDER[:16], b"state", b"s000001"]) == [b"live", b"00000000"]


def test_who_is_known_here_stays_as_he_is() -> None:
    """A worker that was declared dead is not brought back to life by what it ran elsewhere."""
    node = node_with(a=(record(b"T", lease=HOLDER), b""))
    node.call(
        [b"HSET", PREFIX + b"w:" + HOLDER[:16], b"state", b"dead", b"s000001", b"0000000a", b"beat", b"7"]
    )
    promote(node)
    known = node.call([b"HMGET", PREFIX + b"w:" + HOLDER[:16], b"state", b"s000001", b"beat"])
    assert known == [b"dead", b"0000000a", b"7"]


def test_the_oldest_come_first_and_those_of_a_sequence_one_by_one() -> None:
    """By creation, whatever their ids; who waits for its turn stands in no line."""
    turn = {"sequence": b"ab" * 16}
    node = node_with(
        z=(record(b"P", created=1), b""),
        y=(record(b"P", created=2), side(position=b"4", **turn)),
        x=(record(b"P", created=3), side(position=b"5", **turn)),
        w=(record(b"P", created=4), b""),
    )
    promote(node)
    hints = [b"z:00010000", b"y:00010000", b"w:00010000"]
    assert node.call([b"LRANGE", PREFIX + b"q:mail:4", 0, -1]) == hints
    assert node.call([b"SMEMBERS", PREFIX + b"blk:mail"]) == [b"x"]


def test_what_a_promotion_that_was_broken_off_has_lined_up_does_not_stand_twice() -> None:
    """The next leader gathers it again; what it has not lined up yet comes behind."""
    node = node_with(a=(record(b"P", created=1), b""), b=(record(b"P", created=2), b""))
    for kind in scripts.SETS:
        run(node, scripts.PROMOTE, b"0003", kind, b"0", b"100")
    assert run(node, scripts.PROMOTE_LINES, b"1")
    promote(node)
    assert node.call([b"LRANGE", PREFIX + b"q:mail:4", 0, -1]) == [b"a:00010000", b"b:00010000"]


def test_a_node_of_whose_slots_none_is_as_it_was_has_its_lines_made_anew() -> None:
    """It led them before its process was started anew, with the disk of before, or before others led them."""
    node = node_with(a=(record(b"P", created=1), b""))
    promote(node)
    node.call([b"UNLINK", PREFIX + b"gathered", PREFIX + b"promoting"])
    assert run(node, scripts.PROMOTE_ANEW) == 1
    promote(node)
    assert node.call([b"LRANGE", PREFIX + b"q:mail:4", 0, -1]) == [b"a:00010000"]


def test_what_clears_the_way_does_nothing_once_it_is_over_however_late_it_comes_again() -> None:
    """It was repeated for want of an answer, and the first one arrives when the lines stand."""
    key = side(unique=b"ab" * 16, mode=b"f", until=NEVER)

    def stands() -> tuple[Any, Any]:
        lines = node.call([b"LRANGE", PREFIX + b"q:mail:4", 0, -1])
        return lines, node.call([b"HKEYS", PREFIX + b"gate"])

    def clear(now_ms: int, token: bytes = TOKEN) -> None:
        run(node, scripts.PROMOTE_ANEW, now_ms=now_ms, token=token)
        run(node, scripts.PROMOTE_KEYS, b"0" * 32, b"gate", b"0", now_ms=now_ms, token=token)

    node = node_with(a=(record(b"P"), key))
    clear(NOW_MS - 2)
    promote(node)
    whole = [b"a:00010000"], [b"a"]
    assert stands() == whole
    clear(NOW_MS - 2)
    clear(NOW_MS)
    assert stands() == whole
    # begun anew, by this leader or by the next one, whose clock may be behind
    clear(NOW_MS + 1)
    assert stands() == ([], [])
    promote(node)
    clear(NOW_MS - 5, token=b"2")
    assert stands() == ([], [])


def test_what_keys_held_long_ago_is_forgotten_first() -> None:
    """A node may have led the slot before, and others since: its keys may be free now. What it led all along stays."""
    node = node_with(a=(record(b"P"), b""), b=(record(b"P", slot=5), b""))
    kept = b"0" * 5 + b"1" + b"0" * 26
    node.call(
        [b"HSET", PREFIX + b"gate", b"a", b"u" + b"aa" * 16 + b"s" + b"bb" * 16, b"gone", b"u" + b"cc" * 16]
    )
    node.call([b"HSET", PREFIX + b"gate", b"b", b"u" + b"dd" * 16])
    for digest, holder in ((b"aa", b"a"), (b"cc", b"gone"), (b"dd", b"b")):
        node.call([b"HSET", PREFIX + b"uq", digest * 16, NEVER + holder])
    node.call([b"ZADD", PREFIX + b"sq:" + b"bb" * 16, 1, b"a"])
    node.call([b"SADD", PREFIX + b"blk:mail", b"a"])
    node.call([b"HSET", PREFIX + b"ikid", b"a", b"ee", b"b", b"ff"])
    node.call([b"HSET", PREFIX + b"ik", b"ee", b"0" * 32 + b"a x", b"ff", b"0" * 32 + b"b x"])
    for which in (b"gate", b"ikid"):
        assert run(node, scripts.PROMOTE_KEYS, kept, which, b"0") == b"0"
    assert node.call([b"HGETALL", PREFIX + b"gate"]) == [b"b", b"u" + b"dd" * 16]
    assert node.call([b"HKEYS", PREFIX + b"uq"]) == [b"dd" * 16]
    assert node.call([b"HKEYS", PREFIX + b"ik"]) == [b"ff"]
    assert node.call([b"HKEYS", PREFIX + b"ikid"]) == [b"b"]
    assert node.call([b"EXISTS", PREFIX + b"sq:" + b"bb" * 16, PREFIX + b"blk:mail"]) == 0


def test_only_the_newest_leader_is_obeyed_and_only_in_its_view() -> None:
    """An older token, and another epoch, are refused, and nothing is changed."""
    node = node_with(a=(record(b"P"), b""))
    node.call([b"SET", PREFIX + b"leader", b"5"])
    for epoch, token, why in (
        (EPOCH, b"4", "STALETOKEN 5"),
        (b"x00000000001", b"6", "STALEVIEW x00000000002"),
    ):
        for script in (
            scripts.PROMOTE,
            scripts.PROMOTE_ANEW,
            scripts.PROMOTE_KEYS,
            scripts.PROMOTE_LINES,
        ):
            reply = node.eval(script.source, [PREFIX], [epoch, b"1", token, b"0003", b"L", b"0", b"9"])
            assert why in str(reply.text)  # type: ignore[union-attr]
    assert node.call([b"EXISTS", PREFIX + b"gathered"]) == 0
