"""What is signed comes back unchanged; whatever else is refused for its own reason."""

import hmac

import pytest

from taskmesh.codec.keyring import Key, Keyring
from taskmesh.codec.signing import KINDS, OVERHEAD_BYTES, Signer
from taskmesh.errors import (
    BadSignature,
    InvariantBroken,
    Malformed,
    NewerFormat,
    RetiredKey,
    UnknownKey,
)

RING = Keyring(Key.of(b"a" * 32))
SIGNER = RING.signer("message", "shop")


@pytest.mark.parametrize("size", [0, 1, 55, 63, 64, 65, 200, 100_000])
def test_a_payload_comes_back(size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    wire = SIGNER.sign(payload)
    assert SIGNER.verify(wire) == payload
    assert len(wire) == len(payload) + OVERHEAD_BYTES


def test_the_wire_is_hmac_sha256_as_documented() -> None:
    """Another program, in another language, can make the same bytes from the documentation."""
    derived = hmac.digest(b"a" * 32, b"taskmesh\0message\0shop", "sha256")
    head = b"\x01" + RING.active.id
    assert SIGNER.sign(b"payload") == head + hmac.digest(derived, head + b"payload", "sha256") + b"payload"


@pytest.mark.parametrize("kind", sorted(KINDS - {"message"}))
def test_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(BadSignature, match=f"was not signed as a {kind} of mesh 'shop'"):
        RING.signer(kind, "shop").verify(SIGNER.sign(b"payload"))


def test_another_mesh_is_refused() -> None:
    with pytest.raises(BadSignature):
        RING.signer("message", "shop2").verify(SIGNER.sign(b"payload"))


def test_kind_and_mesh_cannot_be_shifted_into_each_other() -> None:
    with pytest.raises(InvariantBroken, match="there are"):
        RING.signer("mess", "age\0shop")


def test_an_accepted_key_verifies_and_the_active_one_signs() -> None:
    rotated = RING.with_new_key(Key.of(b"b" * 32))
    both = rotated.signer("message", "shop")
    assert both.verify(SIGNER.sign(b"old")) == b"old"
    assert both.key_id == rotated.active.id
    assert rotated.signer("message", "shop").verify(both.sign(b"new")) == b"new"
    with pytest.raises(UnknownKey) as caught:
        SIGNER.verify(both.sign(b"new"))
    assert caught.value.key_id == rotated.active.name
    assert f"holds {RING.active.name}" in str(caught.value)


def test_a_retired_key_is_refused_by_name() -> None:
    ring = RING.with_new_key(Key.of(b"b" * 32)).retire(RING.active.id)
    with pytest.raises(RetiredKey, match=RING.active.name):
        ring.signer("message", "shop").verify(SIGNER.sign(b"old"))


def test_a_newer_version_is_told_from_garbage() -> None:
    with pytest.raises(NewerFormat, match="wire version 2"):
        SIGNER.verify(b"\x02" + SIGNER.sign(b"payload")[1:])


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"\x01",
        b"\x00" + SIGNER.sign(b"")[1:],
        b"\x01" + b"ABCDEFGH" + b"m" * 32,
        b"\x01" + b"\xff" * 40,
        b"\x9f" + SIGNER.sign(b"")[1:],
        b"\x02" + b"\xff" * 40,
        b"\x02",
    ],
)
def test_what_is_not_a_wire_is_malformed(wire: bytes) -> None:
    with pytest.raises(Malformed):
        SIGNER.verify(wire)


def test_each_truncation_is_refused() -> None:
    wire = SIGNER.sign(b"payload")
    for length in range(len(wire)):
        with pytest.raises((Malformed, BadSignature)):
            SIGNER.verify(wire[:length])


def test_a_signer_shows_no_secret() -> None:
    secret = b"a" * 32
    shown = repr(Signer("message", "shop", active=(b"00000000", secret)))
    assert shown == "<Signer message of 'shop', key 00000000>"
