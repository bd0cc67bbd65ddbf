"""Seeded random calls of every command that the simulated node knows, right and wrong ones alike."""

from __future__ import annotations

from random import Random

# One call shape a line. A lower-case word is drawn (see `_DRAWS`), `word*` is drawn one to three times,
# `a|b` is one of several; the rest is sent as it stands.
SHAPES = """
GET s
SET s v
SET s v NX|XX|GET|FOO
SET s v NX|XX NX|XX|GET
SETNX s v
GETDEL s
MGET any any any
MSET s v s v
MSET s v s
MSETNX s v s v
APPEND s v
STRLEN s
SETRANGE s small v
GETRANGE s index index
INCR n
DECR n
INCRBY n int
DECRBY n int
LPUSH l v*
RPUSH l v*
LPOP l
LPOP l count
RPOP l
RPOP l count
LPOP l count count
BLPOP l l 0|1|0.5|-1|x
LMPOP 2 l l LEFT|RIGHT|left|UP
LMPOP 2 l l LEFT|RIGHT COUNT count
LMPOP 1|0|-1|x|3 l l LEFT COUNT 1
LMPOP 1 l LEFT COUNT|FOO
LMPOP 1 l LEFT COUNT 1 COUNT
LLEN l
LRANGE l index index
LTRIM l index index
LINDEX l index
LREM l index v
LMOVE l l LEFT|RIGHT|left|UP LEFT|RIGHT|right
SADD e v*
SREM e v*
SCARD e
SISMEMBER e v
SMEMBERS e
SSCAN e 0|x
SSCAN e 0 COUNT count
SSCAN e 0 COUNT|FOO
HSET h v v
HSET h v v v v
HSET h v v v
HSETNX h v v
HGET h v
HMGET h v v v
HGETALL h
HDEL h v*
HSCAN h 0|x
HSCAN h 0 COUNT count
HSCAN h 0 COUNT|FOO
HEXISTS h v
HINCRBY h v int
HLEN h
HKEYS h
HVALS h
ZADD z score v
ZADD z score v score v
ZADD z NX|XX|GT|LT|CH|FOO score v
ZADD z NX|XX|GT|LT|CH NX|XX|GT|LT|CH score v score v
ZADD z score v score
ZREM z v*
ZSCORE z v
ZMSCORE z v*
ZCARD z
ZCOUNT z bound bound
ZRANGE z index index
ZRANGE z index index REV|WITHSCORES|FOO
ZRANGE z index index REV WITHSCORES
ZRANGE z index index LIMIT 0 2
ZRANGE z bound bound BYSCORE
ZRANGE z bound bound BYSCORE LIMIT small index
ZRANGE z bound bound BYSCORE REV LIMIT index count
ZRANGE z bound bound BYSCORE LIMIT 0
ZRANGE z bound bound BYSCORE WITHSCORES REV
ZRANGEBYSCORE z bound bound
ZRANGEBYSCORE z bound bound LIMIT index count
ZRANGEBYSCORE z bound bound WITHSCORES LIMIT small count
ZREMRANGEBYSCORE z bound bound
ZPOPMIN z
ZPOPMIN z count
ZPOPMAX z
ZPOPMAX z count
ZSCAN z 0|x
ZSCAN z 0 COUNT count
ZSCAN z 0 COUNT|FOO
DEL any any
UNLINK any
RENAME z z
EXISTS any any any
TYPE any
DBSIZE
PING
PING v
ECHO v
PUBLISH any v
GET
SET s
HSET h v
ZADD z score
NOSUCHCOMMAND s v
get s
"""

_VALUES = [b"", b"a", b"b", b"cc", b"ddd", b"0", b"7", b"-3", b"x\r\ny", b"\x00\xff", b"1.5", b"long" * 9]
_SCORES = [
    b"0",
    b"1",
    b"2",
    b"-1.5",
    b"2.5",
    b"1700000000123",
    b"1e300",
    b"+inf",
    b"-inf",
    b"0.00012",
    b"1e-9",
    b"nan",
]
_DRAWS: dict[str, list[bytes]] = {
    "v": _VALUES,
    "int": [
        b"0",
        b"1",
        b"5",
        b"-2",
        b"9223372036854775807",
        b"-9223372036854775808",
        b"01",
        b"+1",
        b"x",
        b"",
    ],
    "small": [b"0", b"1", b"2", b"5", b"12", b"-1", b"x"],
    "index": [b"0", b"1", b"2", b"3", b"-1", b"-2", b"-3", b"9", b"-9", b"x"],
    "count": [b"0", b"1", b"2", b"3", b"9", b"-1", b"x"],
    "score": [*_SCORES, b"x", b"1_0", b" 1", b"1e400"],
    "bound": [*_SCORES, b"(0", b"(1", b"(2.5", b"((1", b"x"],
}
# Each kind of value has three keys; one call in eight is made to a key of another kind.
_KINDS = "snlehz"
_ALL_KEYS = [f"{kind}{number}".encode() for kind in _KINDS for number in range(3)]
_PARSED = [line.split() for line in SHAPES.strip().splitlines()]
COMMAND_NAMES = sorted({words[0].upper() for words in _PARSED} - {"NOSUCHCOMMAND"})


def random_call(random: Random) -> list[bytes]:
    """Return the words of one call."""
    words: list[bytes] = []
    for word in random.choice(_PARSED):
        many = random.randint(1, 3) if word.endswith("*") else 1
        words.extend(_draw(random, word.rstrip("*")) for _ in range(many))
    return words


def _draw(random: Random, word: str) -> bytes:
    if word in _DRAWS:
        return random.choice(_DRAWS[word])
    if word == "any" or (word in _KINDS and random.random() < 1 / 8):
        return random.choice(_ALL_KEYS)
    if word in _KINDS:
        return f"{word}{random.randrange(3)}".encode()
    return random.choice(word.split("|")).encode()
