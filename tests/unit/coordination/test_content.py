"""What registers hold is read, or refused in words."""

from __future__ import annotations

import msgspec
import pytest

from taskmesh.consensus.registers import Versioned
from taskmesh.coordination.content import Content
from taskmesh.coordination.cursor import unpack_cursor
from taskmesh.coordination.file_state import read_file_state
from taskmesh.coordination.leader import unpack_leader
from taskmesh.coordination.line import read_line
from taskmesh.coordination.queue_setting import unpack_queue
from taskmesh.coordination.schedule import unpack_schedule
from taskmesh.coordination.session import read_state
from taskmesh.errors import Malformed, NewerFormat

READERS = {
    "cursor": unpack_cursor,
    "leader": unpack_leader,
    "line": read_line,
    "queue": unpack_queue,
    "schedule": unpack_schedule,
    "file": lambda content: read_file_state(Versioned(1, content)),
    "session": lambda content: read_state(Versioned(1, content)),
}


class Thing(msgspec.Struct, omit_defaults=True):
    size: int
    format: int = 1


@pytest.mark.parametrize("reader", READERS)
def test_each_register_says_what_it_is_that_cannot_be_read(reader):
    with pytest.raises(Malformed, match=r"^(the|what|a) .* cannot be read: "):
        READERS[reader](b"\xc1 no msgpack")


def test_a_later_format_is_named_also_where_its_fields_are_others():
    content = Content(Thing, "the thing", 1)
    assert content.unpack(content.pack(Thing(3))) == Thing(3)
    for later in ({"size": 3, "format": 2}, {"size": "three", "format": 2}):
        with pytest.raises(NewerFormat, match="the thing: it is of format 2; this TaskMesh knows 1"):
            content.unpack(msgspec.msgpack.encode(later))
    with pytest.raises(Malformed, match="the thing cannot be read"):
        content.unpack(msgspec.msgpack.encode({"size": "three"}))
