"""The keys of a mesh: which one signs, which ones are still accepted, which ones are refused by name.

A key file has one line per key, `<state> <key id> <hex secret>`, and comments after `#`. To change the key
of a running mesh: give every process the new key as `accepted`, then make it `active` everywhere, then
retire the old one when no message signed with it is left.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from typing import Final, Never, SupportsIndex

from taskmesh.codec.signing import KEY_ID_BYTES, Signer
from taskmesh.errors import ConfigError

SECRET_BYTES: Final = 32
GIVEN_SECRET_BYTES_MIN: Final = 16
STATES: Final = ("active", "accepted", "retired")

_HEADER: Final = "# TaskMesh keys: whoever reads this file can make workers run code.\n"


def key_id_of(secret: bytes) -> bytes:
    """Return the public name of a secret: 8 hexadecimal digits from which nothing can be learnt."""
    return hashlib.sha256(b"taskmesh key id" + secret).hexdigest()[:KEY_ID_BYTES].encode()


@dataclass(frozen=True, slots=True)
class Key:
    """One secret of 32 bytes and its public id."""

    id: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> Key:
        """Return the key with this secret."""
        if len(secret) != SECRET_BYTES:
            raise ConfigError(f"the secret of a key has {SECRET_BYTES} bytes, not {len(secret)}")
        return cls(key_id_of(secret), secret)

    @classmethod
    def new(cls) -> Key:
        """Return a key with a fresh random secret."""
        return cls.of(os.urandom(SECRET_BYTES))

    @property
    def name(self) -> str:
        """The id as text, for messages."""
        return self.id.decode()

    def __reduce_ex__(self, _protocol: SupportsIndex) -> Never:
        """Refuse to be pickled: a function sent by value must not take a secret along to the nodes."""
        raise TypeError("a key cannot be pickled or copied; it would leave this process with a message")


@dataclass(frozen=True, slots=True)
class Keyring:
    """One active key, further accepted ones, and retired ones. Its `repr` shows ids only."""

    active: Key
    accepted: tuple[Key, ...] = ()
    retired: tuple[Key, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a key that stands here twice: its state would be anybody's guess."""
        names = [key.name for key in (self.active, *self.accepted, *self.retired)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"key {twice[0]} stands in this keyring twice; keep one line for each key")

    @classmethod
    def new(cls) -> Keyring:
        """Return a keyring with one fresh random key."""
        return cls(Key.new())

    @classmethod
    def from_secret(cls, secret: str | bytes) -> Keyring:
        """Return a keyring whose key is derived from a secret given by the user.

        Args:
            secret: At least 16 bytes, the same in all processes of the mesh. It should be random: a
                short phrase can be guessed by whoever sees a message.

        Raises:
            ConfigError: It is too short.
        """
        # Without the newline that files and shells like to add.
        raw = (secret.encode() if isinstance(secret, str) else secret).strip()
        if len(raw) < GIVEN_SECRET_BYTES_MIN:
            raise ConfigError(
                f"the key given has {len(raw)} bytes, and at least {GIVEN_SECRET_BYTES_MIN} are needed; make "
                "a good one with `taskmesh key new --out FILE` and give its path as key_file= or "
                "TASKMESH_KEY_FILE, or make a text for key= or TASKMESH_KEY with `openssl rand -hex 32`",
            )
        return cls(Key.of(hashlib.sha256(b"taskmesh secret\0" + raw).digest()))

    @classmethod
    def parse(cls, text: str, *, source: str = "the key text") -> Keyring:
        """Return the keyring that `text` describes.

        Args:
            text: Lines as made by `dump`.
            source: What to call the text in errors, for instance the path of its file.

        Raises:
            ConfigError: A line cannot be understood (named by its number; its secret is not shown), or
                there is not exactly one active key.
        """
        found: dict[str, list[Key]] = {state: [] for state in STATES}
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.partition("#")[0].split()
            if words:
                state, key = _parse_line(words, f"line {number} of {source}")
                found[state].append(key)
        if len(found["active"]) != 1:
            raise ConfigError(
                f"{source} has {len(found['active'])} active keys, and exactly one is needed; "
                "make a key file with `taskmesh key new --out FILE`",
            )
        return cls(found["active"][0], tuple(found["accepted"]), tuple(found["retired"]))

    def dump(self) -> str:
        """Return the text of a key file, secrets included."""
        lines = [("active", self.active)]
        lines += [("accepted", key) for key in self.accepted]
        lines += [("retired", key) for key in self.retired]
        return _HEADER + "".join(f"{state} {key.name} {key.secret.hex()}\n" for state, key in lines)

    def with_new_key(self, new: Key | None = None) -> Keyring:
        """Return a keyring which signs with `new` (default: a fresh key) and still accepts the old one."""
        new = new or Key.new()
        others = tuple(key for key in self.accepted if key.id != new.id)
        return replace(self, active=new, accepted=(self.active, *others))

    def retire(self, key_id: str | bytes) -> Keyring:
        """Return a keyring which refuses the accepted key `key_id`.

        Raises:
            ConfigError: It is the active key, or not an accepted one.
        """
        wanted = key_id.encode() if isinstance(key_id, str) else key_id
        name = wanted.decode(errors="replace")
        if wanted == self.active.id:
            raise ConfigError(
                f"key {name} is the active one; make another one active first (`taskmesh key rotate`)",
            )
        for key in self.accepted:
            if key.id == wanted:
                others = tuple(other for other in self.accepted if other is not key)
                return replace(self, accepted=others, retired=(*self.retired, key))
        accepted = ", ".join(key.name for key in self.accepted) or "none"
        raise ConfigError(f"key {name} is not an accepted key of this keyring (accepted: {accepted})")

    def ids(self) -> tuple[str, ...]:
        """Return the ids of the keys with which this process verifies; the active one first."""
        return (self.active.name, *(key.name for key in self.accepted))

    def signer(self, kind: str, mesh: str) -> Signer:
        """Return the signer of one kind of content (`message`, `result`, `control`, `function`) in `mesh`."""
        return Signer(
            kind,
            mesh,
            active=(self.active.id, self.active.secret),
            accepted=[(key.id, key.secret) for key in self.accepted],
            retired=[key.id for key in self.retired],
        )


def _parse_line(words: list[str], place: str) -> tuple[str, Key]:
    if len(words) != 3 or words[0] not in STATES:
        raise ConfigError(f"{place} is not `<{'|'.join(STATES)}> <key id> <hex secret>`")
    state, name, digits = words
    try:
        secret = bytes.fromhex(digits)
    except ValueError:
        # The cause would repeat a piece of the secret.
        raise ConfigError(f"{place}: the secret of key {name!r} is not hexadecimal") from None
    if len(secret) != SECRET_BYTES:
        raise ConfigError(f"{place}: the secret of key {name!r} has {len(secret)} bytes, not {SECRET_BYTES}")
    key = Key.of(secret)
    if key.name != name:
        raise ConfigError(f"{place}: the secret belongs to key {key.name}, not {name!r}; a digit was changed")
    return state, key
