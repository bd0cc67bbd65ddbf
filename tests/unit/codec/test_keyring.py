"""The key file's text, rotation, and that secrets stay out of sight."""

import copy
import pickle

import pytest

from taskmesh.codec.keyring import Key, Keyring
from taskmesh.errors import ConfigError

ONE, TWO, THREE = Key.of(b"1" * 32), Key.of(b"2" * 32), Key.of(b"3" * 32)


def test_the_text_comes_back() -> None:
    ring = Keyring(ONE, (TWO,), (THREE,))
    assert Keyring.parse(ring.dump()) == ring


def test_comments_and_blank_lines_are_skipped() -> None:
    text = f"# ours\n\n  active {ONE.name} {ONE.secret.hex()}  # since May\n"
    assert Keyring.parse(text) == Keyring(ONE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 active keys"),
        (f"accepted {ONE.name} {ONE.secret.hex()}", "0 active keys"),
        (
            f"active {ONE.name} {ONE.secret.hex()}\nactive {TWO.name} {TWO.secret.hex()}",
            "has 2 active keys",
        ),
        (
            f"active {ONE.name} {ONE.secret.hex()}\nretired {ONE.name} {ONE.secret.hex()}",
            "stands in this keyring twice",
        ),
        (f"\nactiv {ONE.name} {ONE.secret.hex()}", "line 2 of F is not"),
        (f"active {ONE.name}", "line 1 of F is not"),
        (f"active {ONE.name} {ONE.secret.hex()}zz", "is not hexadecimal"),
        (f"active {ONE.name} abcd", "has 2 bytes, not 32"),
        (f"active {TWO.name} {ONE.secret.hex()}", f"belongs to key {ONE.name}"),
    ],
)
def test_a_wrong_text_is_named_without_its_secret(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Keyring.parse(text, source="F")
    assert said in str(caught.value)
    assert ONE.secret.hex() not in str(caught.value)
    assert caught.value.__cause__ is None


def test_rotation_keeps_the_old_key_accepted() -> None:
    ring = Keyring(ONE).with_new_key()
    assert ring.accepted == (ONE,)
    assert ring.ids() == (ring.active.name, ONE.name)
    assert ring.with_new_key(ONE) == Keyring(ONE, (ring.active,)), "back to the old one, without a copy of it"


def test_retiring() -> None:
    ring = Keyring(ONE, (TWO, THREE))
    assert ring.retire(TWO.name) == Keyring(ONE, (THREE,), (TWO,))
    with pytest.raises(ConfigError, match="is the active one"):
        ring.retire(ONE.id)
    with pytest.raises(ConfigError, match=f"accepted: {TWO.name}, {THREE.name}"):
        ring.retire("00000000")


def test_a_given_secret_makes_the_same_key_everywhere() -> None:
    ring = Keyring.from_secret("correct horse battery")
    assert ring == Keyring.from_secret(b"correct horse battery\n")
    assert ring.active.name == "f5bd66b3", "another id would cut off every mesh with a key given as text"
    assert ring != Keyring.from_secret("correct horse batterz")


@pytest.mark.parametrize("secret", ["", "fifteen bytes..", b"x" * 15, " " * 30])
def test_a_short_secret_is_refused_with_advice(secret: str | bytes) -> None:
    with pytest.raises(ConfigError, match="at least 16 are needed; make a good one with `taskmesh key new"):
        Keyring.from_secret(secret)


def test_no_secret_is_shown() -> None:
    shown = repr(Keyring(ONE, (TWO,), (THREE,)))
    for key in (ONE, TWO, THREE):
        assert key.name in shown
        assert key.secret.hex() not in shown
        assert repr(key.secret) not in shown


def test_a_secret_cannot_leave_in_a_pickle() -> None:
    for take in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="would leave this process"):
            take(Keyring(ONE))


def test_new_keys_differ() -> None:
    assert Key.new() != Key.new()
    with pytest.raises(ConfigError, match="not 31"):
        Key.of(b"x" * 31)
