"""A stream whose writer waits a moment for the reader, and has no thread."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskmesh.worker import brief_stream
from taskmesh.worker.brief_stream import BriefStream, brief_stderr

#: More than a pipe or a socket holds.
MUCH = "x" * 4_000_000


@pytest.fixture(params=["pipe", "pipe that cannot be opened anew", "socket"])
def ends(request, monkeypatch) -> Iterator[tuple[int, int]]:
    """Where to read, and where to write."""
    if request.param == "socket":
        one, other = socket.socketpair()
        yield one.fileno(), other.fileno()
        one.close()
        other.close()
        return
    if request.param != "pipe":
        monkeypatch.setattr(brief_stream, "_opened_anew", lambda _fd: -1)
    read_end, write_end = os.pipe()
    yield read_end, write_end
    os.close(read_end)
    os.close(write_end)


def read_until(fd: int, end: bytes) -> bytes:
    said = b""
    while not said.endswith(end):
        said += os.read(fd, 1 << 20)
    return said


def test_what_is_written_arrives(ends):
    threads = {*threading.enumerate()}
    stream = BriefStream(ends[1])
    for word in ("one ", "two ", "ä\udc80"):
        stream.write(word)
    assert os.read(ends[0], 100) == "one two ä\\udc80".encode()
    assert {*threading.enumerate()} <= threads


def test_what_nobody_reads_is_dropped_and_counted(ends):
    stream = BriefStream(ends[1], patience_s=0.05)
    for text in (MUCH, "dropped\n", "dropped\n"):
        stream.write(text)
    with ThreadPoolExecutor(1) as pool:
        # a reader is there again, and waits for what comes
        said = pool.submit(read_until, ends[0], b"end\n")
        while not said.done():
            stream.write("end\n")
    text = said.result().lstrip(b"x").decode()
    assert f"\ntaskmesh worker: process {os.getpid()} dropped" in text
    assert "dropped\n" not in text


def test_a_slow_reader_gets_all(ends):
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(read_until, ends[0], b"end\n")
        BriefStream(ends[1], patience_s=60).write(MUCH + "end\n")
        assert len(said.result()) == len(MUCH) + 4


def test_the_descriptor_stays_as_it_is_for_others(ends):
    BriefStream(ends[1], patience_s=0.05).write(MUCH)
    assert os.get_blocking(ends[1])


def test_a_reader_that_has_gone_is_no_trouble():
    read_end, write_end = os.pipe()
    os.close(read_end)
    assert BriefStream(write_end).write("to nobody") == 9
    os.close(write_end)
    assert BriefStream(write_end).write("to a closed descriptor") == 22


def test_a_file_takes_all(tmp_path: Path):
    with (tmp_path / "log").open("wb") as file:
        BriefStream(file.fileno(), patience_s=0).write(MUCH)
    assert (tmp_path / "log").stat().st_size == len(MUCH)


def test_what_stands_in_the_place_of_standard_error_is_left_there(monkeypatch, capsys):
    assert sys.stderr is not sys.__stderr__
    assert brief_stderr() is None
    monkeypatch.setattr("sys.stderr", sys.__stderr__)
    assert brief_stderr() is not None
    monkeypatch.setattr("sys.stderr", None)
    assert brief_stderr() is None
