"""Which servers can become nodes of a mesh of several."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.nodes.fit_node import offset_s, why_unfit
from taskmesh.nodes.node_facts import facts_of
from taskmesh.replication.founding import Stand

GOOD = facts_of(
    {
        "valkey_version": "8.1.0",
        "server_mode": "standalone",
        "role": "master",
        "aof_enabled": "1",
        "aof_last_write_status": "ok",
        "maxmemory_policy": "noeviction",
    },
    {"appendfsync": "no", "save": "", "aof-load-truncated": "yes"},
)
NEW = Stand("", "", "run", b"", 0, "", 0)


def test_a_good_one():
    assert why_unfit(GOOD, NEW, 0.2, "process") == []
    flushed = replace(GOOD, fsync="always", load_truncated=False)
    assert why_unfit(flushed, NEW, -0.9, "disk") == []
    assert why_unfit(replace(GOOD, append_only=False), NEW, 0, "memory") == []


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"mode": "cluster"}, "cluster mode"),
        ({"version": "7.0.0"}, "too old; use 7.2"),
        ({"role": "slave"}, "replica of another server"),
        ({"append_failed": True}, "look at its disk"),
        ({"append_only": False}, "set appendonly yes"),
        ({"fsync": "everysec"}, "set no"),
        ({"policy": "volatile-lru"}, "set noeviction"),
    ],
)
def test_what_speaks_against_one(facts, says):
    (unfit,) = why_unfit(replace(GOOD, **facts), NEW, 0, "process")
    assert says in unfit


def test_where_power_loss_is_to_be_survived_more_is_asked_for():
    for facts in ({"fsync": "always", "load_truncated": True}, {"fsync": "no", "load_truncated": False}):
        (unfit,) = why_unfit(replace(GOOD, **facts), NEW, 0, "disk")
        assert "a power loss may lose messages" in unfit


def test_whoever_has_data_of_the_mesh_is_named():
    (member,) = why_unfit(GOOD, replace(NEW, id="n2", instance="f" * 16), 0, "process")
    (alone,) = why_unfit(GOOD, replace(NEW, mesh_id="m"), 0, "process")
    assert "was a node of it" in member
    assert "holds it by itself" in alone


@pytest.mark.parametrize("offset_s", [1.5, -1.5])
def test_a_clock_that_is_off(offset_s):
    (unfit,) = why_unfit(GOOD, NEW, offset_s, "process")
    assert f"by {offset_s:+.1f} s" in unfit


def test_all_that_is_wrong_is_said_at_once():
    assert len(why_unfit(replace(GOOD, policy="allkeys-lru", append_only=False), NEW, 9, "process")) == 3


@pytest.mark.parametrize(
    ("asked_s", "told_s", "ahead_s"),
    [(99.0, 100.5, 0.0), (100.0, 130.0, 0.0), (90.0, 95.0, 5.0), (103.0, 103.5, -3.0)],
)
def test_a_clock_is_not_wrong_because_whoever_asked_stood_still(asked_s, told_s, ahead_s) -> None:
    assert offset_s(100.0, asked_s, told_s) == ahead_s
