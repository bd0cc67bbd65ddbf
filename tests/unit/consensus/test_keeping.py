"""What of a server's settings an acceptor may forget by."""

from __future__ import annotations

import pytest

from taskmesh.consensus.keeping import Kept, keeping_of

INFO = {"role": "master", "connected_slaves": "0", "aof_enabled": "1", "maxmemory_policy": "noeviction"}
ASKED = {"appendfsync": "always", "no-appendfsync-on-rewrite": "no", "aof-load-truncated": "no"}


def test_a_server_that_is_set_as_it_should_be():
    keeping = keeping_of(INFO, ASKED)
    assert (keeping.kept, keeping.unsafe) == (Kept.POWER, [])


@pytest.mark.parametrize(
    ("changed", "kept", "remedy"),
    [
        ({"appendfsync": "no"}, Kept.PROCESS, "CONFIG SET appendfsync always"),
        ({"appendfsync": "everysec"}, Kept.NOTHING, "CONFIG SET appendfsync always"),
        ({"no-appendfsync-on-rewrite": "yes"}, Kept.PROCESS, "CONFIG SET no-appendfsync-on-rewrite no"),
        ({"aof-load-truncated": "yes"}, Kept.POWER, "CONFIG SET aof-load-truncated no"),
        ({"aof_enabled": "0"}, Kept.NOTHING, "CONFIG SET appendonly yes"),
        ({"aof_last_write_status": "err"}, Kept.NOTHING, "make room on its disk"),
        ({"role": "slave"}, Kept.NOTHING, "give the primary, or REPLICAOF NO ONE"),
        ({"connected_slaves": "2"}, Kept.POWER, "REPLICAOF NO ONE on them"),
        ({"maxmemory_policy": "allkeys-lfu"}, Kept.NOTHING, "CONFIG SET maxmemory-policy noeviction"),
        ({"maxmemory_policy": "volatile-lru"}, Kept.POWER, ""),
    ],
)
def test_each_setting_by_itself(changed: dict[str, str], kept: Kept, remedy: str):
    keeping = keeping_of(
        INFO | {name: value for name, value in changed.items() if name not in ASKED},
        ASKED | {name: value for name, value in changed.items() if name in ASKED},
    )
    assert keeping.kept == kept
    assert [each.remedy for each in keeping.unsafe] == ([remedy] if remedy else [])


def test_who_may_not_be_asked_counts_as_unsafe():
    keeping = keeping_of(INFO, {})
    assert keeping.kept == Kept.NOTHING
    assert "CONFIG GET is forbidden" in keeping.unsafe[0].text


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({"role": "slave"}, "it is a replica of another server"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "1000"}, "maxmemory-policy allkeys-lru: when full"),
        # it is never full
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "0"}, ""),
        # what an acceptor holds never expires
        ({"maxmemory_policy": "volatile-lru", "maxmemory": "1000"}, ""),
        ({"aof_enabled": "0"}, ""),
    ],
)
def test_who_would_forget_while_it_runs_is_no_acceptor(changed: dict[str, str], refused: str) -> None:
    told = keeping_of(INFO | changed, ASKED).refused
    assert told.text.startswith(refused) if refused and told else told is None and not refused


def test_what_is_worst_counts():
    assert keeping_of(INFO | {"role": "slave"}, ASKED | {"appendfsync": "no"}).kept == Kept.NOTHING
