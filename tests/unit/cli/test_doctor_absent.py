"""What `taskmesh doctor` says of members that do not answer: which, whether all is still there, what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from taskmesh.cli.doctor.absent import absent_findings
from taskmesh.cli.doctor.finding import Level
from taskmesh.nodes.sync_driver import ANEW, WHO_ADMITS
from tests.unit.replication.small_mesh import make_view

SILENT = "does not answer: Connection refused."


def found_of(view, *ids: str, trouble: str = SILENT, told=()):
    away = [(view.member(node), trouble) for node in ids]
    return absent_findings(view, away, lambda address: f"start {address}", told)


def test_where_all_answer_nothing_is_said():
    assert found_of(make_view()) == []


def test_who_does_not_answer_is_named_with_what_to_do():
    member, copies = found_of(make_view(), "n2")
    assert (member.level, member.text) == (Level.FAIL, f"n2 (redis://n2:6379) {SILENT}")
    assert member.remedy == "start redis://n2:6379"
    assert "n2 (redis://n2:6379)" in copies.text


def test_who_was_told_of_as_a_node_is_told_of_once():
    (copies,) = found_of(make_view(), "n2", told=["redis://n2:6379"])
    assert copies.check == "copies"


def test_who_was_started_anew_is_to_be_admitted():
    member, _ = found_of(make_view(), "n1", "n3", trouble=f"{ANEW}; {WHO_ADMITS}", told=["redis://n1:6379"])
    assert member.text == f"n1 (redis://n1:6379), n3 (redis://n3:6379): {ANEW}"
    assert member.remedy == WHO_ADMITS


@pytest.mark.parametrize(
    ("replicas", "away", "level", "words"),
    [
        (3, ("n2",), Level.WARN, "32 of 96 copies are out of reach"),
        (
            3,
            ("n2",),
            Level.WARN,
            "nothing is lost, every slot has as many copies left as are needed to go on",
        ),
        (3, ("n1", "n2"), Level.FAIL, "nothing is lost, but 32 slots have too few copies left"),
        (1, ("n2",), Level.FAIL, "slots no copy is left that answers"),
    ],
)
def test_it_says_whether_all_is_still_there(replicas, away, level, words):
    *_, copies = found_of(make_view(replicas=replicas), *away)
    assert (copies.check, copies.level) == ("copies", level)
    assert words in copies.text
    assert copies.remedy


def test_rows_that_have_lost_one_already_count_what_they_have():
    view = make_view()
    short = replace(view, table=tuple(row[:2] for row in view.table))
    *_, copies = found_of(short, short.table[0][0])
    assert copies.level is Level.FAIL or "nothing is lost" in copies.text
