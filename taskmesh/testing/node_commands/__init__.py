"""The commands that a simulated node knows, one function each, grouped by the type they work on.

Start with `values.py`, the words they share; `COMMANDS` below is the table by name. The differential test
(`tests/integration/test_simulated_node.py`) compares every one of them with a real server, and the number of
words, `writes` and `grows` of each with what the server says of itself.
"""

from __future__ import annotations

import sys

from taskmesh.testing.node_commands import hashes, keys, lists, sets, sorted_sets, strings
from taskmesh.testing.node_commands.values import Command, CommandFunction


def _command(function: CommandFunction, arity: int, flags: str = "") -> Command:
    """Make an entry.

    Args:
        function: What runs it.
        arity: Number of words as the server states it; negative means "at least".
        flags: `w` writes, `g` grows, `s` spreads.
    """
    most = arity if arity > 0 else sys.maxsize
    return Command(function, abs(arity), most, writes="w" in flags, grows="g" in flags, spreads="s" in flags)


COMMANDS: dict[bytes, Command] = {
    b"GET": _command(strings.get, 2),
    b"SET": _command(strings.set_, -3, "wg"),
    b"SETNX": _command(strings.setnx, 3, "wg"),
    b"GETDEL": _command(strings.getdel, 2, "w"),
    b"MGET": _command(strings.mget, -2),
    b"MSET": _command(strings.mset, -3, "wg"),
    b"MSETNX": _command(strings.msetnx, -3, "wg"),
    b"APPEND": _command(strings.append, 3, "wg"),
    b"STRLEN": _command(strings.strlen, 2),
    b"SETRANGE": _command(strings.setrange, 4, "wg"),
    b"GETRANGE": _command(strings.getrange, 4),
    b"INCR": _command(strings.incr, 2, "wg"),
    b"DECR": _command(strings.decr, 2, "wg"),
    b"INCRBY": _command(strings.incrby, 3, "wg"),
    b"DECRBY": _command(strings.decrby, 3, "wg"),
    b"LPUSH": _command(lists.lpush, -3, "wg"),
    b"RPUSH": _command(lists.rpush, -3, "wg"),
    b"LPOP": _command(lists.lpop, -2, "w"),
    b"RPOP": _command(lists.rpop, -2, "w"),
    b"BLPOP": _command(lists.blpop, -3, "w"),
    b"LMPOP": _command(lists.lmpop, -4, "w"),
    b"LLEN": _command(lists.llen, 2),
    b"LRANGE": _command(lists.lrange, 4),
    b"LTRIM": _command(lists.ltrim, 4, "w"),
    b"LINDEX": _command(lists.lindex, 3),
    b"LREM": _command(lists.lrem, 4, "w"),
    b"LMOVE": _command(lists.lmove, 5, "wg"),
    b"SADD": _command(sets.sadd, -3, "wg"),
    b"SREM": _command(sets.srem, -3, "w"),
    b"SCARD": _command(sets.scard, 2),
    b"SISMEMBER": _command(sets.sismember, 3),
    b"SMEMBERS": _command(sets.smembers, 2),
    b"SSCAN": _command(sets.sscan, -3),
    b"SPOP": _command(sets.spop, -2, "w"),
    b"SRANDMEMBER": _command(sets.srandmember, -2),
    b"HSET": _command(hashes.hset, -4, "wg"),
    b"HSETNX": _command(hashes.hsetnx, 4, "wg"),
    b"HGET": _command(hashes.hget, 3),
    b"HMGET": _command(hashes.hmget, -3),
    b"HGETALL": _command(hashes.hgetall, 2),
    b"HSCAN": _command(hashes.hscan, -3),
    b"HDEL": _command(hashes.hdel, -3, "w"),
    b"HEXISTS": _command(hashes.hexists, 3),
    b"HINCRBY": _command(hashes.hincrby, 4, "wg"),
    b"HLEN": _command(hashes.hlen, 2),
    b"HKEYS": _command(hashes.hkeys, 2),
    b"HVALS": _command(hashes.hvals, 2),
    b"ZADD": _command(sorted_sets.zadd, -4, "wg"),
    b"ZREM": _command(sorted_sets.zrem, -3, "w"),
    b"ZSCAN": _command(sorted_sets.zscan, -3),
    b"ZSCORE": _command(sorted_sets.zscore, 3),
    b"ZMSCORE": _command(sorted_sets.zmscore, -3),
    b"ZCARD": _command(sorted_sets.zcard, 2),
    b"ZCOUNT": _command(sorted_sets.zcount, 4),
    b"ZRANGE": _command(sorted_sets.zrange, -4),
    b"ZRANGEBYSCORE": _command(sorted_sets.zrangebyscore, -4),
    b"ZRANGEBYLEX": _command(sorted_sets.zrangebylex, -4),
    b"ZREMRANGEBYSCORE": _command(sorted_sets.zremrangebyscore, 4, "w"),
    b"ZPOPMIN": _command(sorted_sets.zpopmin, -2, "w"),
    b"ZPOPMAX": _command(sorted_sets.zpopmax, -2, "w"),
    b"DEL": _command(keys.delete, -2, "w"),
    b"UNLINK": _command(keys.delete, -2, "w"),
    b"RENAME": _command(keys.rename, 3, "w"),
    b"EXISTS": _command(keys.exists, -2),
    b"TYPE": _command(keys.type_, 2),
    b"SCAN": _command(keys.scan, -2),
    b"DBSIZE": _command(keys.dbsize, 1),
    b"FLUSHALL": _command(keys.flushall, -1, "w"),
    b"PING": _command(keys.ping, -1),
    b"ECHO": _command(keys.echo, 2),
    b"TIME": _command(keys.time, 1),
    b"INFO": _command(keys.info, -1),
    b"PUBLISH": _command(keys.publish, 3, "s"),
}
