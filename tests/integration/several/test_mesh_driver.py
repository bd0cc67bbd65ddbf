"""The driver for several nodes against real servers that are killed, stopped and started anew."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest

from taskmesh.core.steps import OUT, Call, NoAnswer, NodeError, Pause, Refused, Round
from taskmesh.errors import NodeUnavailable
from tests.integration.several.conftest import NODES, answered, command, script, to_all, when
from tests.patience import LONG_S
from tests.support import wait_until

pytestmark = pytest.mark.needs_server

LARGE = b"x" * (8 << 20)


def test_each_call_goes_to_its_node_and_each_reply_to_its_call(driver, three_nodes):
    """Also several to one node, in any order."""
    for at, node in enumerate(NODES):
        with three_nodes[at].client() as client:
            client.set("name", node)
    calls = [command(node, b"GET", b"name") for node in ("n2", "n1", "n2", "n3", "n1")]
    assert driver.perform(calls) == [b"n2", b"n1", b"n2", b"n3", b"n1"]


def test_a_protocol_runs_to_its_end(driver):
    def steps():
        first = yield to_all(b"ECHO", b"1")
        nothing = yield Pause(0.001)
        second = yield when(3, b"ECHO", b"2")
        return first, nothing, list(second)

    assert driver.run(steps()) == ([b"1"] * 3, [], [b"2"] * 3)


def test_errors_stand_in_their_place(driver):
    fails = script("return redis.error_reply('STALEVIEW f0000000007')")
    replies = driver.perform(
        [command("n1", b"NOSUCHCOMMAND"), Call(fails, b"p:", (), 0.0, "n2"), command("n1", b"ECHO", b"x")]
    )
    assert isinstance(replies[0], NodeError)
    assert replies[1:] == [NodeError("STALEVIEW f0000000007"), b"x"]


def test_a_call_without_a_node_is_an_error_of_the_caller(driver):
    with pytest.raises(ValueError, match="must name its node"):
        driver.perform([Call(None, b"", (b"PING",))])


def test_who_is_unknown_is_refused(make_driver, three_nodes):
    from taskmesh.nodes.mesh_driver import MeshDriver

    def nobody(_node):
        raise NodeUnavailable("the view knows no such node", node="n9")

    driver = MeshDriver(nobody)
    assert driver.perform([command("n9", b"PING")]) == [Refused("node n9: the view knows no such node")]


def test_scripts_that_nodes_lack_are_loaded(driver):
    """Two that are missing and one that is not, at once, on each node."""
    first, second = (script(f"-- {os.urandom(4).hex()}\nreturn '{n}' .. ARGV[1]") for n in "12")
    driver.perform([Call(first, b"p:", (b"",), 0.0, "n1")])
    calls = [
        Call(each, b"p:", (b"%d" % at,), 0.0, node)
        for node in NODES
        for at, each in enumerate((first, second))
    ]
    assert driver.perform(calls) == [b"10", b"21"] * 3


def test_a_script_that_cannot_be_loaded_is_an_error(driver):
    assert driver.perform([Call(script("return ("), b"p:", (), 0.0, "n1")]) == [NodeError("NOSCRIPT")]


# -- who does not answer ------------------------------------------------------------


def test_a_stopped_node_costs_the_others_nothing(driver, three_nodes):
    driver.perform(to_all(b"PING"))
    three_nodes.stop(2)
    for number in range(20):
        word = b"%d" % number
        assert driver.perform(when(2, b"ECHO", word)) == [word, word, OUT]


def test_answers_that_come_late_are_not_taken_for_those_to_other_calls(driver, three_nodes):
    driver.perform(to_all(b"PING"))
    three_nodes.stop(2)
    for number in range(20):
        driver.perform(when(2, b"ECHO", b"%d" % number))
    three_nodes.go_on(2)
    for number in range(100, 120):
        assert driver.perform(to_all(b"ECHO", b"%d" % number)) == [b"%d" % number] * 3
    with three_nodes[2].client() as client:
        echoes = client.info("commandstats")["cmdstat_echo"]["calls"]
    assert echoes == 40, "what was sent late was lost, or sent twice"


def test_a_call_made_late_gets_its_script(driver, three_nodes):
    """The third copy, say: nobody waits for it, and still it should be made."""
    copies = script(f"-- {os.urandom(4).hex()}\nreturn redis.call('SET', 'copy', ARGV[1])")
    driver.perform(to_all(b"PING"))
    three_nodes.stop(2)
    calls = [Call(copies, b"p:", (b"v",), 0.0, node) for node in NODES]
    driver.perform(Round(calls, lambda replies: sum(reply == b"OK" for reply in replies) >= 2))
    three_nodes.go_on(2)
    assert driver.perform([command("n3", b"PING")]) == [b"PONG"]
    with three_nodes[2].client() as client:
        wait_until(lambda: driver.perform([command("n3", b"PING")]) and client.get("copy") == b"v")


def test_what_a_silent_node_was_asked_has_no_answer_in_time(make_driver, three_nodes):
    """And when it goes on, it is spoken with again."""
    driver = make_driver(answer_timeout_s=0.2)
    wait_until(lambda: driver.perform(to_all(b"PING")) == [b"PONG"] * 3)
    three_nodes.stop(1)
    replies = driver.perform(to_all(b"ECHO", b"x"))
    assert isinstance(replies[1], NoAnswer)

    def others_answer() -> bool:
        replies = driver.perform(to_all(b"ECHO", b"x"))
        return [replies[0], replies[2]] == [b"x", b"x"]

    wait_until(others_answer)
    three_nodes.go_on(1)
    wait_until(lambda: driver.perform(to_all(b"ECHO", b"y")) == [b"y"] * 3)


def test_a_caller_waits_no_longer_than_he_has(driver, three_nodes):
    driver.perform(to_all(b"PING"))
    three_nodes.stop(0)

    def steps():
        return (yield to_all(b"ECHO", b"x"))

    # on a busy machine the others may not answer in so short a time either
    for within_s in (0.1, 1.0, 10.0):
        began_s = time.monotonic()
        replies = driver.run(steps(), within_s=within_s)
        assert time.monotonic() - began_s < within_s + LONG_S / 2
        assert isinstance(replies[0], NoAnswer)
        if replies[1:] == [b"x", b"x"]:
            return
    pytest.fail(f"the others did not answer: {replies}")


def test_who_stood_still_himself_reads_what_came_meanwhile(make_driver, three_nodes):
    """Though the time for an answer is over by then."""
    driver = make_driver(answer_timeout_s=0.2)
    wait_until(lambda: driver.perform(to_all(b"PING")) == [b"PONG"] * 3)

    def has_answered(at: int) -> bool:
        with three_nodes[at].client() as client:
            return "cmdstat_echo" in client.info("commandstats")

    def stand_still(replies: list[object]) -> bool:
        wait_until(lambda: all(map(has_answered, range(3))))
        time.sleep(0.5)
        return False

    assert driver.perform(Round(to_all(b"ECHO", b"x"), stand_still)) == [b"x"] * 3


def test_a_node_that_takes_its_time_on_purpose_is_waited_for(make_driver):
    driver = make_driver(answer_timeout_s=0.3)
    block = command("n2", b"BLPOP", b"nothing", b"0.6", patience_s=LONG_S)
    assert driver.perform([command("n1", b"PING", patience_s=LONG_S), block]) == [b"PONG", None]


def test_nobody_waits_behind_a_node_that_takes_its_time(driver, three_nodes):
    """And what is put into the list later is not taken by who is gone."""
    block = command("n2", b"BLPOP", b"list", b"0", patience_s=1000.0)
    round_ = Round([command("n1", b"PING"), block], lambda replies: replies[0] == b"PONG")
    assert driver.perform(round_) == [b"PONG", OUT]
    with three_nodes[1].client() as client:
        wait_until(lambda: client.info("clients")["blocked_clients"] == 0)
    assert driver.perform([command("n2", b"RPUSH", b"list", b"x"), command("n2", b"LLEN", b"list")]) == [1, 1]


def test_a_dead_node_is_refused_and_the_others_answer(driver, three_nodes):
    driver.perform(to_all(b"PING"))
    three_nodes.kill(0)
    replies = driver.perform(to_all(b"ECHO", b"x"))
    assert isinstance(replies[0], Refused), "its end was seen before anything was sent"
    assert replies[1:] == [b"x", b"x"]


def test_what_a_node_that_dies_was_asked_has_no_answer(driver, three_nodes):
    driver.perform(to_all(b"PING"))
    three_nodes.stop(0)
    asked = threading.Event()

    def enough(_: object) -> bool:
        asked.set()
        return False

    killer = threading.Thread(target=lambda: asked.wait(90) and three_nodes.kill(0))
    killer.start()
    replies = driver.perform(Round(to_all(b"ECHO", b"x"), enough))
    killer.join()
    assert isinstance(replies[0], NoAnswer)
    assert replies[1:] == [b"x", b"x"]


def test_a_node_that_comes_back_is_spoken_with_again(driver, three_nodes):
    driver.perform(to_all(b"PING"))
    three_nodes.kill(0)
    assert answered(driver.perform(to_all(b"ECHO", b"x"))) == 2
    three_nodes.start(0)
    wait_until(lambda: driver.perform(to_all(b"ECHO", b"y")) == [b"y"] * 3)


def test_a_stopped_node_that_is_not_connected_costs_the_others_nothing(driver, three_nodes):
    three_nodes.stop(1)
    assert driver.perform(when(2, b"ECHO", b"x")) == [b"x", OUT, b"x"]
    three_nodes.go_on(1)
    assert driver.perform(to_all(b"ECHO", b"y")) == [b"y"] * 3


# -- who was started anew -----------------------------------------------------------


def test_a_server_that_was_started_anew_is_refused_until_it_is_admitted(driver, places, three_nodes):
    places.admit()
    assert driver.perform(to_all(b"ECHO", b"x")) == [b"x"] * 3
    three_nodes.kill(1)
    three_nodes.start(1)

    def refused():
        reply = driver.perform(to_all(b"ECHO", b"x"))[1]
        return (
            isinstance(reply, Refused)
            and "was started anew and waits to be admitted" in reply.reason
            and reply
        )

    assert not wait_until(refused).lasts
    places.admit("n2")
    assert driver.perform(to_all(b"ECHO", b"x")) == [b"x"] * 3


def test_who_listens_is_refused_by_a_server_started_anew_too(driver, places, three_nodes):
    from taskmesh.nodes.subscription import Subscription

    places.run_ids["n2"] = b"another"
    with pytest.raises(NodeUnavailable, match="waits to be admitted"):
        Subscription(driver.member("n2").alone, [b"channel"])


def test_a_node_that_moves_is_asked_where_it_is_now(driver, places, three_nodes):
    """As a view says it: no answer of the old place may be taken for one of the new."""
    for at, where in enumerate((b"a", b"b", b"c")):
        with three_nodes[at].client() as client:
            client.set("where", where)
    assert driver.perform([command("n1", b"GET", b"where")]) == [b"a"]
    places._nodes = [three_nodes[1], three_nodes[0], three_nodes[2]]
    assert driver.perform([command("n1", b"GET", b"where")]) == [b"b"]


# -- threads, forks, large things, signals --------------------------------------------


def test_threads_share_it(driver, three_nodes):
    """Each gets its own answers, while one node answers late again and again."""
    ended = threading.Event()
    wrong: list[object] = []

    def harm():
        while not ended.is_set():
            three_nodes.stop(2)
            ended.wait(0.02)
            three_nodes.go_on(2)
            ended.wait(0.01)

    def converse(name: int):
        for number in range(150):
            word = b"%d-%d" % (name, number)
            replies = driver.perform(when(2 if number % 3 else 3, b"ECHO", word))
            if any(reply not in (word, OUT) for reply in replies):
                wrong.append(replies)

    threads = [threading.Thread(target=converse, args=(name,)) for name in range(4)]
    harming = threading.Thread(target=harm)
    harming.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    harming.join()
    assert not wrong


def test_a_forked_process_makes_connections_of_its_own(driver):
    """Neither hears the other's answers."""
    assert driver.perform(to_all(b"ECHO", b"x")) == [b"x"] * 3
    pid = os.fork()
    if pid == 0:
        good = False
        try:
            good = all(driver.perform(to_all(b"ECHO", b"c%d" % at)) == [b"c%d" % at] * 3 for at in range(100))
        finally:
            os._exit(0 if good else 1)
    for at in range(100):
        assert driver.perform(to_all(b"ECHO", b"p%d" % at)) == [b"p%d" % at] * 3
    assert os.waitpid(pid, 0)[1] == 0


def test_large_commands_and_replies_pass(driver):
    calls = [command(node, b"SET", b"large", LARGE) for node in NODES]
    assert driver.perform(calls) == [b"OK"] * 3
    assert driver.perform(to_all(b"GET", b"large")) == [LARGE] * 3


def test_a_node_that_does_not_take_what_it_is_sent_costs_the_others_nothing(driver, three_nodes):
    driver.perform(to_all(b"PING"))
    three_nodes.stop(2)
    enough = when(2, b"SET", b"large", LARGE)
    assert driver.perform(enough) == [b"OK", b"OK", OUT]
    assert driver.perform(when(2, b"ECHO", b"x")) == [b"x", b"x", OUT]
    three_nodes.go_on(2)
    assert driver.perform(to_all(b"STRLEN", b"large")) == [len(LARGE)] * 3


# the interruption may come while something of before is collected, which can only tell of it
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_after_an_interruption_each_answer_is_that_to_what_was_asked(driver):
    """Ctrl-C, say, in the midst of a round: no answer may be taken for that of another call."""

    class InterruptedHere(Exception):
        pass

    def raises(*_: object) -> None:
        raise InterruptedHere

    before = signal.signal(signal.SIGALRM, raises)
    chance, count = random.Random(1), 0
    try:
        for number in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 6e-4))
                driver.perform(when(2, b"ECHO", b"interrupted %d" % number))
                signal.setitimer(signal.ITIMER_REAL, 0)
            except InterruptedHere:
                count += 1
            assert driver.perform(to_all(b"ECHO", b"%d" % number)) == [b"%d" % number] * 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert count > 15, "hardly any was interrupted"


def test_connections_are_kept_and_closed(driver, three_nodes):
    def names():
        with three_nodes[0].client() as client:
            return [each for each in client.client_list() if each["name"] == "taskmesh"]

    for _ in range(5):
        driver.perform(to_all(b"PING"))
    assert len(names()) == 1
    driver.close()
    wait_until(lambda: not names())
