"""A signal interrupts where it may, waits where it may not, and counts once."""

from __future__ import annotations

import os
import signal

import pytest

from taskmesh.cli.demo.stopping import Stopped, Stopping
from taskmesh.codec.pickling import decode_value, encode_value
from tests.support import wait_until


def test_within_an_interruptible_block_it_raises_at_once() -> None:
    reached = []
    with Stopping() as stopping, pytest.raises(Stopped) as caught, stopping.interruptible():  # noqa: PT012
        signal.raise_signal(signal.SIGTERM)
        reached.append("after")
    assert not reached
    assert caught.value.exit_code == 143


class _Collected:
    """Is sent a signal while it is collected, where Python throws exceptions away."""

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_python_threw_away_is_raised_again() -> None:
    with Stopping() as stopping, pytest.raises(Stopped), stopping.interruptible():  # noqa: PT012
        _Collected()
        wait_until(lambda: False, what="the signal is heard of")


def test_outside_it_waits_for_the_next_block() -> None:
    with Stopping() as stopping:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped) as caught, stopping.interruptible():
            pytest.fail("the block must not be entered")
    assert caught.value.exit_code == 130


def test_the_first_counts_and_later_ones_change_nothing() -> None:
    with Stopping() as stopping:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped) as caught:
            stopping.check()
        assert caught.value.signum == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        with stopping.interruptible():
            signal.raise_signal(signal.SIGINT)
        stopping.check()


def test_without_a_signal_nothing_happens() -> None:
    with Stopping() as stopping:
        with stopping.interruptible():
            stopping.check()
        stopping.check()


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Stopping():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stopping() as stopping, stopping.interruptible():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


class _Signals:
    """Sends a signal to this process while it is being unpickled."""

    def __reduce__(self):
        return os.kill, (os.getpid(), signal.SIGTERM)


def test_a_signal_while_a_result_is_unpickled_is_no_fault_of_the_result():
    encoding, body = encode_value(_Signals())
    with Stopping() as stopping, pytest.raises(Stopped), stopping.interruptible():
        decode_value(encoding, body)
