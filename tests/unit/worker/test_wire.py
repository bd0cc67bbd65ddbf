"""Messages between a worker's processes arrive whole, each with the descriptors that it needs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from taskmesh.worker.wire import Wire

LONG = "q" * 300_000


@pytest.fixture
def wires() -> Iterator[tuple[Wire, Wire]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Wire(ours), Wire(theirs)


def received(wire: Wire, count: int) -> list[tuple[str, bytes]]:
    """Return so many messages, with what can be read from the descriptor of each."""
    found = []
    while len(found) < count:
        messages, fds = wire.receive()
        for message, fd in zip(messages, fds, strict=True):
            found.append((message["word"], os.read(fd, 10)))
            os.close(fd)
    return found


@pytest.mark.parametrize("word", ["short", LONG])
def test_each_message_comes_with_its_descriptor(wires: tuple[Wire, Wire], word: str) -> None:
    """However long it is: the descriptor arrives with the first bytes, and the line is read in pieces."""
    ours, theirs = wires

    def send() -> None:
        for number in (b"1", b"2", b"3"):
            read_end, write_end = os.pipe()
            os.write(write_end, number)
            os.close(write_end)
            ours.send({"word": word}, (read_end,))
            os.close(read_end)

    sender = Thread(target=send)
    sender.start()
    assert received(theirs, 3) == [(word, b"1"), (word, b"2"), (word, b"3")]
    sender.join()


def test_the_end_of_the_other_is_told(wires: tuple[Wire, Wire]) -> None:
    ours, theirs = wires
    ours.send({"word": "last"})
    ours.socket.close()
    assert theirs.receive() == ([{"word": "last"}], [])
    assert not theirs.is_closed()
    assert theirs.receive() == ([], [])
    assert theirs.is_closed()
