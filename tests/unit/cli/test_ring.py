"""`taskmesh ring` as somebody uses it who plans a mesh."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from taskmesh.cli.main import cli


def run(*words, code=0):
    ran = CliRunner().invoke(cli, ["ring", *words])
    assert ran.exit_code == code, ran.output
    return ran


def planned(*words):
    return json.loads(run(*words, "--json").stdout)


def test_three_nodes_keep_everything_and_are_primaries_of_a_third():
    plan = planned("a", "b", "c")
    assert (plan["slots"], plan["replicas"], plan["copies_moved"]) == (1024, 3, 0)
    assert [each["copies"] for each in plan["nodes"]] == [1024] * 3
    assert {each["primaries"] for each in plan["nodes"]} == {341, 342}
    assert all(sorted(each) == ["a", "b", "c"] for each in plan["table"])


def test_a_join_moves_the_share_of_the_new_one():
    plan = planned("a", "b", "c", "--add", "d")
    assert (
        plan["copies_moved"] == 768 == next(each for each in plan["nodes"] if each["node"] == "d")["copies"]
    )


def test_weights_and_domains():
    plan = planned("a@x", "b@x", "c=200@y", "--replicas", "2", "--slots", "64")
    assert [each["copies"] for each in plan["nodes"]] == [32, 32, 64]
    assert all("c" in each for each in plan["table"])
    assert {each["of_share"] for each in plan["nodes"]} == {1.0}


def test_a_weight_that_would_change_and_one_that_leaves():
    heavier = planned("a", "b", "c", "d", "--replicas", "2", "--weigh", "a=150")
    (share,) = [each["of_share"] for each in heavier["nodes"] if each["node"] == "a"]
    assert share == pytest.approx(1, abs=0.002)
    assert 170 <= heavier["copies_moved"] <= 172
    gone = planned("a", "b", "c", "d", "--replicas", "2", "--remove", "a")
    assert (gone["copies_moved"], [each["node"] for each in gone["nodes"]]) == (512, ["b", "c", "d"])


def test_it_is_shown_to_people():
    shown = run("a", "b", "c", "--add", "d").stdout
    assert "1,024 slots, 3 of 4 nodes keep each" in shown
    assert "768 of 3,072 copies would move" in " ".join(shown.split())
    assert "would move" not in run("a", "b", "c").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "=5"], "'=5' is no node: expected NAME[=WEIGHT][@DOMAIN]"),
        (["a", "b=heavy"], "'b=heavy' is no node"),
        (["a", "a"], "node a is named twice"),
        (["a", "b", "--replicas", "3"], "3 copies of each slot cannot stand on 2 nodes"),
        (["a", "b", "--remove", "c"], "there is no node 'c'; there are a, b"),
        (["a", "b", "--remove", "a"], "2 copies of each slot cannot stand on 1 nodes"),
        (["a", "--slots", "0"], "0 is not in the range"),
        (["a=2000000"], "node a has weight 2000000"),
    ],
)
def test_what_cannot_be_is_said(words, said):
    assert said in " ".join(run(*words, code=2).stderr.split())
