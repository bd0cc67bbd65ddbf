"""A stream whose writer never waits for the reader."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from taskmesh.worker.patient_stream import PatientStream


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    yield read_end, write_end
    os.close(read_end)


def test_what_is_written_arrives_in_order(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    stream = PatientStream(write_end)
    for word in ("one ", "two ", "ä\udc80"):
        stream.write(word)
    assert stream.finish(90)
    assert os.read(read_end, 100) == "one two ä\\udc80".encode()
    os.close(write_end)


def test_what_nobody_reads_is_dropped_and_counted(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    stream = PatientStream(write_end, waiting_max=2)
    written = 12
    for _ in range(written):
        stream.write("x" * 100_000)  # more than a pipe holds
    assert not stream.finish(0)
    said = b""
    while not said.endswith(b"nobody read it\n"):
        said += os.read(read_end, 1 << 20)
    kept = said.count(b"x") // 100_000
    assert kept in {2, 3}
    assert f"taskmesh worker: {written - kept} texts".encode() in said
    assert stream.finish(90)
    os.close(write_end)
