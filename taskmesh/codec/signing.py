"""Sign and verify bytes: the first thing done to whatever arrives, and the last to what leaves.

A wire is `version (1) | key id (8) | HMAC-SHA-256 (32) | payload`, and every later version will begin with a
version byte and a key id too. The MAC covers version, key id and payload, and its key is derived from the
secret for one kind of content in one mesh: an envelope cannot pass for a result, nor a message of one mesh
for one of another.

HMAC is two SHA-256 runs which each begin with a block made of the key alone. Both beginnings are hashed
once per signer and copied for each message: `hmac.digest` hashes them anew and takes 2.5 times as long.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from hmac import compare_digest
from typing import Final, Protocol, TypeAlias

from taskmesh.errors import BadSignature, InvariantBroken, Malformed, NewerFormat, RetiredKey, UnknownKey

WIRE_VERSION: Final = 1
KEY_ID_BYTES: Final = 8
HEAD_BYTES: Final = 1 + KEY_ID_BYTES
OVERHEAD_BYTES: Final = HEAD_BYTES + 32
"""How much longer a wire is than its payload."""

KINDS: Final = frozenset({"message", "result", "control", "function", "report", "telling", "register"})

_VERSION_MAX: Final = 31
"""What any release will ever write; so bare msgpack, text or pickle does not pass for a newer format."""

_BLOCK_BYTES: Final = 64
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


_Copies: TypeAlias = tuple[Callable[[], _Hash], Callable[[], _Hash]]


def _wire_head(key_id: bytes) -> bytes:
    return bytes((WIRE_VERSION,)) + key_id


def _begun_hashes(key_id: bytes, secret: bytes, kind: str, mesh: str) -> _Copies:
    derived = hmac.digest(secret, b"taskmesh\0" + kind.encode() + b"\0" + mesh.encode(), "sha256")
    block = derived.ljust(_BLOCK_BYTES, b"\0")
    # The head is hashed here too: it costs nothing per message, and no byte of the wire is left uncovered.
    inner = hashlib.sha256(block.translate(_INNER_PAD) + _wire_head(key_id))
    outer = hashlib.sha256(block.translate(_OUTER_PAD))
    return inner.copy, outer.copy


class Signer:
    """Signs with the active key, and verifies with each key that is not retired; made by `Keyring.signer`.

    Safe to share between threads and to keep across a fork.
    """

    __slots__ = ("_begun", "_copy_inner", "_copy_outer", "_head", "_retired", "key_id", "kind", "mesh")

    def __init__(
        self,
        kind: str,
        mesh: str,
        *,
        active: tuple[bytes, bytes],
        accepted: Iterable[tuple[bytes, bytes]] = (),
        retired: Iterable[bytes] = (),
    ) -> None:
        """Derive the keys of one kind of content in one mesh.

        Args:
            kind: One of `KINDS`.
            mesh: Name of the mesh.
            active: Id and secret of the key to sign with.
            accepted: Ids and secrets of further keys to verify with.
            retired: Ids of keys that are refused by name.
        """
        if kind not in KINDS:
            raise InvariantBroken(f"no kind of signed content is called {kind!r}; there are {sorted(KINDS)}")
        self.kind = kind
        self.mesh = mesh
        self.key_id = active[0]
        self._head = _wire_head(active[0])
        self._begun = {
            _wire_head(key_id): _begun_hashes(key_id, secret, kind, mesh)
            for key_id, secret in (active, *accepted)
        }
        self._copy_inner, self._copy_outer = self._begun[self._head]
        self._retired = frozenset(retired)

    def __repr__(self) -> str:
        """Show what it signs and the id of its key, never a secret."""
        return f"<Signer {self.kind} of {self.mesh!r}, key {self.key_id.decode()}>"

    def sign(self, payload: bytes) -> bytes:
        """Return the wire that carries `payload`."""
        inner = self._copy_inner()
        inner.update(payload)
        outer = self._copy_outer()
        outer.update(inner.digest())
        return self._head + outer.digest() + payload

    def verify(self, wire: bytes) -> bytes:
        """Return the payload of `wire`.

        Raises:
            BadSignature: A byte was changed, or it was signed as another kind or for another mesh.
            UnknownKey: Signed with a key that is not held here.
            RetiredKey: Signed with a key that was retired.
            NewerFormat: It looks like a wire of a later version.
            Malformed: Not a wire at all.
        """
        begun = self._begun.get(wire[:HEAD_BYTES])
        if begun is None or len(wire) < OVERHEAD_BYTES:
            raise self._refusal(wire)
        payload = wire[OVERHEAD_BYTES:]
        inner = begun[0]()
        inner.update(payload)
        outer = begun[1]()
        outer.update(inner.digest())
        if not compare_digest(outer.digest(), wire[HEAD_BYTES:OVERHEAD_BYTES]):
            raise BadSignature(
                f"the signature of this {self.kind} ({len(wire)} bytes, key "
                f"{wire[1:HEAD_BYTES].decode()}) does not match: it was changed on the way, "
                f"or was not signed as a {self.kind} of mesh {self.mesh!r}",
            )
        return payload

    def _refusal(self, wire: bytes) -> Exception:
        key_id = wire[1:HEAD_BYTES]
        if (
            len(wire) < OVERHEAD_BYTES
            or not WIRE_VERSION <= wire[0] <= _VERSION_MAX
            or key_id.strip(b"0123456789abcdef")
        ):
            return Malformed(f"not a signed {self.kind}: {len(wire)} bytes which begin with {wire[:16]!r}")
        if wire[0] > WIRE_VERSION:
            return NewerFormat(
                f"this {self.kind} has wire version {wire[0]}, and this TaskMesh knows {WIRE_VERSION}: "
                "it was written by a newer one; upgrade this process",
            )
        name = key_id.decode()
        if key_id in self._retired:
            return RetiredKey(f"this {self.kind} is signed with key {name}, which was retired", key_id=name)
        held = ", ".join(sorted(head[1:].decode() for head in self._begun))
        return UnknownKey(
            f"this {self.kind} is signed with key {name}, which this process does not hold (it holds "
            f"{held}); give both sides the same key, or add it to the key file as `accepted`",
            key_id=name,
        )
