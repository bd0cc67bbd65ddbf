"""A view as bytes: whole on each node; in registers in parts, where it is too large for one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from taskmesh.errors import ImpossibleView, Malformed, NewerFormat
from taskmesh.replication.view import Member, Row, View

FORMAT = 1
#: What a register may hold, with some room for what is packed around it.
REGISTER_BYTES_MAX = 60 * 1024
#: So many nodes at most can be told apart by one byte; one value stands for a place that is not taken.
ONE_BYTE_MEMBERS_MAX = 255
#: How the content of a register begins that holds a view, and of one that names the registers in which the parts stand.
_WHOLE, _PARTS = b"V", b"P"
#: How the name of a register begins that holds a part. Behind it stand the version of the view's register that is to be
#: followed, and a digest: so no later view can have the same part, and those of an earlier one can be deleted.
PART = "view/"


class _Packed(msgspec.Struct, array_like=True):
    """A view. The table has `width` places for each slot, each the index of a member."""

    format: int
    number: int
    phase: str
    slots: int
    replicas: int
    members: list[tuple[str, str, str, str, int, str, str]]
    width: int
    table: bytes
    before: _Packed | None = None


class _Begin(msgspec.Struct, array_like=True):
    format: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode
_decode_begin = msgspec.msgpack.Decoder(_Begin).decode


def pack(view: View) -> bytes:
    """Return a view as bytes."""
    return _encode(_packed(view))


# nodes are asked for it again and again, and say the same
@lru_cache(maxsize=16)
def unpack(packed: bytes) -> View:
    """Return the view of some bytes.

    Raises:
        NewerFormat: It was written by a newer TaskMesh.
        Malformed: It is no view, or an impossible one.
    """
    try:
        begin = _decode_begin(packed)
        if begin.format > FORMAT:
            raise NewerFormat(
                f"the view is of format {begin.format}; this TaskMesh knows {FORMAT}: upgrade it"
            )
        return _unpacked(_decode(packed))
    except (msgspec.DecodeError, ImpossibleView, IndexError) as error:
        raise Malformed(f"the view cannot be read: {error}") from error


def split(packed: bytes, if_version: int) -> tuple[bytes, dict[str, bytes]]:
    """Return what the register of the view is to hold, and by name the registers of its parts, to be written first.

    Args:
        packed: The view.
        if_version: The version of the view's register that this is to follow.
    """
    if len(packed) < REGISTER_BYTES_MAX:
        return _WHOLE + packed, {}
    parts = [packed[at : at + REGISTER_BYTES_MAX] for at in range(0, len(packed), REGISTER_BYTES_MAX)]
    named = {f"{PART}{if_version}/{_digest(part)}": part for part in parts}
    return _PARTS + "\n".join(f"{PART}{if_version}/{_digest(part)}" for part in parts).encode(), named


def _digest(part: bytes) -> str:
    return hashlib.blake2b(part, digest_size=16).hexdigest()


def is_outdated(name: str, version: int, content: bytes) -> bool:
    """Tell whether a register holds a part that nobody will ever need, of a view that is not in force any more.

    Args:
        name: Of the register.
        version: Of the view's register.
        content: Of that.
    """
    follows, _, digest = name.removeprefix(PART).partition("/")
    if not name.startswith(PART) or not follows.isdigit() or not digest:
        return False
    return int(follows) < version and name not in parts_of(content)


def parts_of(content: bytes) -> tuple[str, ...]:
    """Return the names of the registers in which the parts of a view stand; none if it is whole."""
    return tuple(content[1:].decode("ascii", "replace").split("\n")) if content[:1] == _PARTS else ()


def joined(content: bytes, parts: Mapping[str, bytes]) -> bytes:
    """Return the packed view of a register's content and its parts.

    Raises:
        Malformed: A part is lacking, or is another one.
    """
    if content[:1] == _WHOLE:
        return content[1:]
    names = parts_of(content)
    if not names:
        raise Malformed(f"the register of the view begins with {content[:1]!r}")
    for name in names:
        if name not in parts or _digest(parts[name]) != name.rpartition("/")[2]:
            raise Malformed(f"the view cannot be read: its part {name} is not there, or not the same")
    return b"".join(parts[name] for name in names)


def _packed(view: View) -> _Packed:
    width = max(len(row) for row in view.table)
    size = _index_bytes(len(view.members))
    indexes = {member.id: at.to_bytes(size, "big") for at, member in enumerate(view.members)}
    empty = b"\xff" * size
    rows = {
        row: b"".join(indexes[node] for node in row) + empty * (width - len(row)) for row in set(view.table)
    }
    return _Packed(
        FORMAT,
        view.number,
        view.phase,
        view.slots,
        view.replicas,
        [(m.id, m.address, m.instance, m.run_id, m.weight, m.domain, m.state) for m in view.members],
        width,
        b"".join(rows[row] for row in view.table),
        _packed(view.before) if view.before is not None else None,
    )


def _unpacked(packed: _Packed) -> View:
    members = tuple(Member(*each) for each in packed.members)
    step = packed.width * _index_bytes(len(members))
    if step == 0 or len(packed.table) != packed.slots * step:
        raise Malformed(
            f"the view cannot be read: a table of {len(packed.table)} bytes for {packed.slots} slots"
        )
    raw = [packed.table[at : at + step] for at in range(0, len(packed.table), step)]
    rows = {each: _row(each, members) for each in set(raw)}
    return View(
        packed.number,
        packed.phase,
        packed.slots,
        packed.replicas,
        members,
        tuple(rows[each] for each in raw),
        _unpacked(packed.before) if packed.before is not None else None,
    )


def _row(raw: bytes, members: tuple[Member, ...]) -> Row:
    size = _index_bytes(len(members))
    indexes = [raw[at : at + size] for at in range(0, len(raw), size)]
    return tuple(members[int.from_bytes(at, "big")].id for at in indexes if at != b"\xff" * size)


def _index_bytes(members: int) -> int:
    return 1 if members <= ONE_BYTE_MEMBERS_MAX else 2
