"""A signal to stop is heeded whenever it comes, also in the moment before somebody waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from taskmesh.cli.stop_signals import StopSignals

FOREVER = 30.0


@pytest.fixture
def stop_signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield StopSignals()
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_has_come_is_not_waited_for(stop_signals, number):
    signal.raise_signal(number)
    assert stop_signals.wait(FOREVER)
    assert stop_signals.wait(FOREVER)


def test_a_signal_wakes_who_waits(stop_signals):
    sender = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGTERM))
    sender.start()
    while not stop_signals.wait(FOREVER):
        pass
    sender.join()


def test_without_a_signal_the_time_is_waited(stop_signals):
    assert not stop_signals.wait(0.0)


def test_a_signal_that_the_handler_could_not_see_yet_still_wakes():
    # it comes between the last look at signals and the wait: written into the pipe, though nobody has run the handler
    program = """
import os, signal, threading, time
from taskmesh.cli import stop_signals
waiting = stop_signals.StopSignals()
real = stop_signals.select.select
def late(*arguments):
    threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
    return real(*arguments)
stop_signals.select.select = late
while not waiting.wait(30):
    pass
print("stopped")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=90, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "stopped\n"), ended.stderr
