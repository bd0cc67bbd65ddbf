"""`taskmesh top` without a terminal: what keys do, what is drawn, what is counted."""

from __future__ import annotations

import queue as queues
import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from taskmesh.cli.broker_list import BrokerSeen
from taskmesh.cli.top import watching as reading
from taskmesh.cli.top.acts import Acts, Letter
from taskmesh.cli.top.frame import frame
from taskmesh.cli.top.parts import shares
from taskmesh.cli.top.seen import NodeSeen, QueueSeen, Seen, WorkerSeen
from taskmesh.cli.top.state import Key, State, View, Wish
from taskmesh.cli.top.tally import TASKS_MAX, Rates, Tally
from taskmesh.cli.top.terminal import as_ansi, keys_in
from taskmesh.coordination.candidates import CandidateSeen
from taskmesh.core.event import Event

LETTER = Letter("id-1", 1_700_000_000_000, "shop.pay", 3, "its process died")


def queue(name: str, **more: object) -> QueueSeen:
    return replace(QueueSeen(name, 0, 0, 0, oldest_s=None, ended=0, dead=0, paused=False, workers=1), **more)


def seen(**more: object) -> Seen:
    whole = Seen(
        "shop",
        100.0,
        (queue("mail"), queue("orders", ready=1234, oldest_s=90.0)),
        (WorkerSeen("w1", "live", 4, 2, 77, 1 << 20, 1.0, "mail,orders", ("shop.pay", 12.0)),),
        (NodeSeen("", "redis://10.0.0.1:6379", "up", 0, 1 << 20, 0, "valkey 9.0.0"),),
        5,
        0,
        2,
        {"SUCCESS": 70, "FAILURE": 7},
    )
    return replace(whole, **more)


def watching(found: Seen | None = None, **more: object) -> SimpleNamespace:
    facts = {
        "trouble": "",
        "leader": "w1",
        "leader_trouble": "",
        "tally": Tally(),
        "came": Rates(),
        "ended": Rates(),
    }
    return SimpleNamespace(seen=found or seen(), **(facts | more))


def text(
    known: SimpleNamespace, state: State, width: int = 80, height: int = 24, now_s: float = 100.0
) -> str:
    lines = frame(known, state, now_s, width, height)
    assert len(lines) == height
    assert all(line.cell_len == width for line in lines)
    return "\n".join(line.plain.rstrip() for line in lines)


def test_a_screen_of_80_by_24_holds_all_that_matters():
    shown = text(watching(), State())
    for words in (
        "mesh shop",
        "leader w1",
        "ready 1,234",
        "delayed 5",
        "dead 2",
        "orders",
        "w1",
        "valkey",
        "task",
    ):
        assert words in shown


DEAF = BrokerSeen("amqp://me:***@host/shop", deaf=(("w1", "connection refused"),))


def test_a_broker_that_is_away_has_a_line_of_its_own():
    many = seen(queues=tuple(queue(f"q{n}", ready=n) for n in range(50)), brokers=(DEAF,))
    away = text(watching(many), State())
    assert "broker amqp://me:***@host/shop not heard by 1 of 1 workers (w1)" in away
    assert "Tab part" in away.splitlines()[-1]
    assert "broker" not in text(watching(seen(brokers=(replace(DEAF, hear=("w1",), deaf=()),))), State())


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (40, 10), (20, 5), (3, 1)])
def test_any_screen_is_filled_and_not_exceeded(width, height):
    many = seen(queues=tuple(queue(f"q{n}", ready=n) for n in range(50)))
    for view in View:
        state = State(view=view, letters=[LETTER] * 40)
        lines = frame(watching(many), state, 100.0, width, height)
        assert len(lines) == height
        assert all(line.cell_len == width for line in lines)


def test_what_stands_still_is_told_from_what_nobody_serves_and_what_is_paused():
    rates = Rates()
    rates.add(Counter(still=5), 90.0)
    rates.add(Counter(still=5), 100.0)
    queues = (
        queue("alone", ready=1, workers=0),
        queue("held", ready=1, paused=True),
        queue("still", ready=9, oldest_s=60.0),
    )
    lines = text(watching(seen(queues=queues), ended=rates), State()).splitlines()
    said = {
        name: next(line for line in lines if line[1:].startswith(f"{name} "))
        for name in ("alone", "held", "still")
    }
    assert "nobody serves it" in said["alone"]
    assert "paused" in said["held"]
    assert "stands still" in said["still"]


def test_a_mesh_that_does_not_answer_is_said_and_how_old_the_rest_is():
    shown = text(watching(trouble="no answer"), State(), now_s=130.0)
    assert "30 s old" in shown
    assert "the mesh does not answer: no answer" in shown


def test_a_leader_that_cannot_be_known_is_not_told_as_nobody():
    shown = text(watching(leader="", leader_trouble="register leader: no majority"), State(), width=100)
    assert "leader: not known (register leader: no majority)" in shown
    assert "leader nobody" in text(watching(leader=""), State())


def test_it_is_seen_whether_anybody_would_take_over_from_the_leader():
    one = CandidateSeen("w1", "host:1", leads=True, told_ms=1)
    by = replace(one, name="s1", leads=False)
    assert "leader w1, nobody stands by" in text(watching(seen(schedulers=(one,))), State())
    assert "leader w1, 1 stands by" in text(watching(seen(schedulers=(one, by))), State())
    assert "leader w1, 2 stand by" in text(watching(seen(schedulers=(one, by, by))), State())


@pytest.mark.parametrize(("oldest_s", "words"), [(133.0, "2 min 13 s"), (86_340.0, "23 h 59 min")])
def test_how_long_the_first_in_line_waits_is_not_cut(oldest_s, words):
    shown = text(watching(seen(queues=(queue("mail", ready=1, oldest_s=oldest_s),))), State())
    assert f" {words} " in shown


@pytest.mark.parametrize(("gaps", "words"), [(1, "missed once:"), (2, "missed 2 times:")])
def test_it_is_said_how_often_events_were_missed(gaps, words):
    tally = Tally()
    for _ in range(gaps):
        tally.add(Event("gap", 1))
    assert words in text(watching(tally=tally), State())


def test_text_from_elsewhere_steers_no_terminal():
    evil = watching(seen(queues=(queue("q\x1b[2J"),)))
    assert "\x1b" not in text(evil, State())


def test_the_queue_that_is_chosen_stays_chosen_where_the_order_changes():
    state = State()
    known = watching()
    text(known, state)
    assert state.marked == "orders"  # most waits there
    state.press(Key.DOWN)
    assert state.marked == "mail"
    known.seen = seen(queues=(queue("mail", ready=5000), queue("orders", ready=1)))
    text(known, state)
    assert (state.marked, state.at["queues"]) == ("mail", 0)
    assert any(line.startswith(">mail") for line in text(known, state).splitlines())


def test_keys_choose_go_in_and_come_back():
    state = State(rows={"queues": 2, "workers": 1, "nodes": 1, "tasks": 0}, names=["a", "b"])
    assert state.press("j") is Wish.NOTHING
    assert state.at["queues"] == 1
    assert state.press("p") is Wish.PAUSE
    assert state.press("d") is Wish.LETTERS
    state.view, state.letters = View.LETTERS, [LETTER]
    assert state.press(Key.ENTER) is Wish.STORY
    state.view = View.STORY
    state.press("q")
    assert state.view is View.LETTERS
    state.press(Key.ESCAPE)
    assert state.view is View.MESH
    state.press(Key.TAB)
    assert state.part == "workers"
    state.press(Key.BACK_TAB)
    assert state.part == "queues"
    state.press("?")
    assert state.view is View.HELP
    state.press("?")
    assert state.press("q") is Wish.QUIT
    assert state.press(Key.INTERRUPT) is Wish.QUIT


def test_a_queue_is_paused_only_where_one_is_marked():
    state = State(
        part="tasks", rows=dict.fromkeys(("queues", "workers", "nodes", "tasks"), 2), names=["a", "b"]
    )
    assert state.press("p") is Wish.NOTHING
    assert "p pauses the queue that is marked" in text(watching(), state)
    state.press(Key.TAB)
    assert (state.part, state.said, state.press("p")) == ("queues", "", Wish.PAUSE)


def test_dead_letters_that_were_not_looked_at_are_told():
    state = State(view=View.LETTERS, queue="mail", letters=[], older=4000)
    assert "queue mail has no new dead letters; 4,000 older of the mesh" in text(watching(), state)
    state.letters = [LETTER]
    assert "dead letters of queue mail: 1; 4,000 older of the mesh" in text(watching(), state)
    state.older = 0
    assert "older" not in text(watching(), state)


def test_nothing_is_sent_again_that_was_not_confirmed():
    state = State(view=View.LETTERS, letters=[LETTER])
    assert state.press("r") is Wish.NOTHING
    assert state.asks == "id-1"
    assert state.press("n") is Wish.NOTHING
    assert (state.asks, state.said) == ("", "not sent again")
    state.press("r")
    assert state.press("y") is Wish.RESEND


def test_keys_are_read_also_where_several_come_at_once():
    pressed = b"\x1b[A\x1b[Bjk\t\x1b[Z\r\x03\x1b[5~\x1b[1;5Cq\xc3\xa4\x1b"
    assert list(keys_in(pressed)) == [
        *(Key.UP, Key.DOWN, "j", "k", Key.TAB, Key.BACK_TAB, Key.ENTER, Key.INTERRUPT, "q", Key.ESCAPE)
    ]


def test_a_frame_is_drawn_from_the_first_line_on():
    drawn = as_ansi(frame(watching(), State(), 100.0, 80, 24), 80)
    assert drawn.startswith("\x1b[H")
    assert drawn.count("\r\n") == 23


@pytest.mark.parametrize(
    ("wanted", "room", "given"),
    [
        ([2, 1, 1, 0], 16, [2, 1, 1, 0]),
        ([50, 1, 3, 50], 16, [6, 1, 3, 6]),
        ([9, 9, 9, 9], 4, [1, 1, 1, 1]),
        ([9, 9, 9, 9], -3, [0, 0, 0, 0]),
    ],
)
def test_parts_share_the_screen(wanted, room, given):
    assert shares(wanted, room) == given


def test_tasks_are_counted_from_events():
    tally = Tally()
    tally.add(Event("sent", 1, "1", "a", "q"))
    tally.add(Event("started", 1, "1", "a", "q"))
    tally.add(Event("succeeded", 1, "1", "a", "q", seconds=2.0))
    tally.add(Event("succeeded", 1, "2", "a", "q", seconds=4.0))
    tally.add(Event("failed", 1, "3", "b", "q", seconds=0.5, detail="ValueError"))
    tally.add(Event("crashed", 1, "4", "b", "q", detail="signal 9"))
    tally.add(Event("gap", 1))
    first, second = tally.tasks()
    assert (first.name, first.runs, first.failed, first.crashed, first.bad) == ("b", 1, 1, 1, 2)
    assert (second.name, second.runs, second.mean_s, second.longest_s) == ("a", 2, 3.0, 4.0)
    assert (tally.sent()["q"], tally.gaps) == (1, 1)


def test_rates_are_those_of_the_last_seconds():
    rates = Rates()
    assert rates.of("q") is None
    rates.add(Counter(q=0), 0.0)
    assert rates.of("q") is None
    rates.add(Counter(q=100), 5.0)
    assert rates.of("q") == 20.0
    for second in range(6, 40):
        rates.add(Counter(q=100), float(second))
    assert rates.of("q") == 0.0


def test_an_act_that_fails_as_nobody_expected_says_so_and_others_go_on():
    said: queues.SimpleQueue[str] = queues.SimpleQueue()
    acts = Acts(SimpleNamespace(name="shop"), lambda: None)
    acts.start()

    def fails(_mesh: SimpleNamespace) -> str:
        raise ValueError("no number")

    acts.have(fails, said.put)
    acts.have(lambda mesh: f"done in {mesh.name}", said.put)
    assert said.get(timeout=90) == "failed: ValueError: no number"
    assert said.get(timeout=90) == "done in shop"


def test_a_look_that_fails_as_nobody_expected_is_told_and_repeated(monkeypatch):
    looks = iter([ValueError("no number"), seen()])

    def look_at(_mesh: SimpleNamespace, _look: object) -> Seen:
        found = next(looks)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(reading, "look_at", look_at)
    news: queues.SimpleQueue[str] = queues.SimpleQueue()
    watch = reading.Watching(SimpleNamespace(link=None), lambda: news.put(watch.trouble))
    threading.Thread(target=watch._look, daemon=True).start()
    assert news.get(timeout=90) == "ValueError: no number"
    watch.hurry()
    assert news.get(timeout=90) == ""
    watch.stop()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state": "dead"}, "declared dead"),
        ({"beat_age_s": 60.0}, "no heartbeat for 1 min"),
        ({}, "12 s shop.pay"),
    ],
)
def test_a_worker_that_is_lost_is_told_from_one_that_works(more, words):
    workers = tuple(replace(each, **more) for each in seen().workers)
    assert words in text(watching(seen(workers=workers)), State())


def test_the_row_that_is_chosen_is_among_those_that_fit():
    many = watching(seen(queues=tuple(queue(f"q{number:02}") for number in range(50))))
    state = State()
    text(many, state)
    for _ in range(45):
        state.press(Key.DOWN)
    shown = text(many, state)
    assert ">q45" in shown
    assert "queue (+" in shown


def test_a_dead_letter_that_went_meanwhile_leaves_the_last_one_chosen():
    state = State(view=View.LETTERS, letters=[LETTER, LETTER], letter=1)
    state.letters = [LETTER]
    assert state.chosen_letter is LETTER


def test_a_story_steers_no_terminal():
    record = SimpleNamespace(queue="q\x1b[2J", attempt=1, crashes=3, created_ms=1, moment_ms=2)
    error = SimpleNamespace(traceback="Traceback\x1b[2J\n  line two\n")
    story = SimpleNamespace(
        id="id-1",
        task="a",
        reason="no\x1b[2J",
        record=record,
        outcome=SimpleNamespace(worker="w", error=error),
    )
    shown = text(watching(), State(view=View.STORY, story=story))
    assert "\x1b" not in shown
    assert "  line two" in shown


def test_only_so_many_tasks_are_counted():
    tally = Tally()
    for number in range(TASKS_MAX + 1):
        tally.add(Event("succeeded", 1, task=f"t{number}", seconds=1.0))
    assert len(tally.tasks()) == TASKS_MAX


def test_a_run_that_waits_for_its_turn_has_not_failed():
    tally = Tally()
    tally.add(Event("retried", 1, task="a", seconds=0.1, detail="not counted as an attempt"))
    tally.add(Event("retried", 1, task="a", seconds=0.1, detail="ValueError"))
    (task,) = tally.tasks()
    assert (task.runs, task.failed, task.error) == (2, 1, "ValueError")


def test_who_leads_is_heard_until_it_resigns():
    tally = Tally()
    tally.add(Event("leader", 1, worker="w1", detail="leads, token 1"))
    assert tally.leader == "w1"
    tally.add(Event("leader", 2, worker="w1", detail="resigned: the next one begins at once"))
    assert tally.leader == ""
