"""Where the key of a mesh comes from: an argument, the environment, or the account's own key file.

The account's file is made at first use, for meshes on this machine only: `~/.local/state/taskmesh/key`. Two
processes that start together must end with the same key, so a file is written under another name and then
linked to its place, which succeeds for one of them; the other one reads what it finds there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from taskmesh.codec.keyring import STATES, Keyring
from taskmesh.codec.signing import KEY_ID_BYTES
from taskmesh.errors import ConfigError

_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022
_FILE_BYTES_MAX: Final = 64 * 1024


def load_keyring(
    key: str | bytes | Keyring | None = None,
    key_file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    allow_create: bool,
) -> Keyring:
    """Return the keys of a mesh.

    They come from the first of these which is there: `key`, `key_file`, TASKMESH_KEY, TASKMESH_KEY_FILE, the
    account's own key file.

    Args:
        key: A secret of at least 16 bytes, the text of a key file, or a keyring.
        key_file: Path of a key file.
        environ: Environment to look in; default: the process's own.
        allow_create: Whether the account's own key file may serve, and be made if absent: true for an
            embedded mesh and for nodes on loopback, whose users all have this account.

    Raises:
        ConfigError: There is no key, it is not usable, or others can read its file.
    """
    environ = os.environ if environ is None else environ
    if isinstance(key, Keyring):
        return key
    if key is not None:
        return _from_text(key, "key=")
    if key_file is not None:
        return read_key_file(key_file)
    if environ.get("TASKMESH_KEY"):
        return _from_text(environ["TASKMESH_KEY"], "TASKMESH_KEY")
    if environ.get("TASKMESH_KEY_FILE"):
        return read_key_file(environ["TASKMESH_KEY_FILE"])
    if not allow_create:
        raise ConfigError(
            "the nodes of this mesh are beyond this machine, and no key was given to sign messages with; "
            "make one with `taskmesh key new --out FILE`, copy it to every machine of the mesh, and name it "
            "by key_file= or TASKMESH_KEY_FILE (or give its text as key= or TASKMESH_KEY)",
        )
    return account_keyring(environ)


def account_key_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the path of the account's own key file: `$XDG_STATE_HOME/taskmesh/key`."""
    environ = os.environ if environ is None else environ
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if state.is_absolute():  # The XDG specification says to ignore relative paths.
        return state / "taskmesh" / "key"
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "state" / "taskmesh" / "key"


def account_keyring(environ: Mapping[str, str] | None = None) -> Keyring:
    """Return the keyring of the account's own key file, which is made if absent.

    Raises:
        ConfigError: The file cannot be read or made, or others can reach it.
    """
    path = account_key_path(environ)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.parent.stat().st_mode
        absent = not path.exists()
    except OSError as error:
        raise ConfigError(
            f"the folder {path.parent} for this account's key cannot be used ({error.strerror}); set "
            "XDG_STATE_HOME to a folder that can be written, or give a key by key= or TASKMESH_KEY",
        ) from error
    if mode & _OTHERS_WRITE:
        raise ConfigError(
            f"others may write in {path.parent} (mode {stat.S_IMODE(mode):04o}), and so exchange the key in "
            f"it; run: chmod 700 {shlex.quote(str(path.parent))}",
        )
    if absent:
        # Where another process was first, its key is the one.
        with contextlib.suppress(FileExistsError):
            write_key_file(path, Keyring.new())
    return read_key_file(path)


def missing_key_file(path: Path, environ: Mapping[str, str] | None = None) -> str:
    """Return that a key file is not there, and what to do: a new key would be another one than the mesh has.

    Args:
        path: Where it was looked for.
        environ: Environment that may have named it; default: the process's own.
    """
    given = (os.environ if environ is None else environ).get("TASKMESH_KEY_FILE", "")
    named = Path(given).expanduser()
    relative = ""
    if given and not named.is_absolute() and named.absolute() == path.absolute():
        relative = f"TASKMESH_KEY_FILE={given} is relative to the current folder, {Path.cwd()}; "
    return (
        f"there is no key file {path.absolute()}; {relative}name the key file that the mesh has by its absolute path "
        "(for a new mesh, `taskmesh key new --out FILE` makes one: others refuse what a new key signs)"
    )


def read_key_file(path: str | os.PathLike[str]) -> Keyring:
    """Return the keyring in a key file.

    Raises:
        ConfigError: It cannot be read, others can read it, or it is not a key file.
    """
    path = Path(path).expanduser()
    try:
        # O_NONBLOCK: a pipe in its place must not hang the process.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ConfigError(missing_key_file(path)) from error
    except OSError as error:
        raise ConfigError(
            f"the key file {path.absolute()} cannot be read ({error.strerror}); it has to be a file that the account "
            "of this process may read",
        ) from error
    try:
        # Asked of the open file: what is checked is what is read.
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise ConfigError(f"the key file {path} is not a regular file")
        if mode & _OTHERS:
            raise ConfigError(
                f"others may read the key file {path} (mode {stat.S_IMODE(mode):04o}), and whoever knows the "
                f"key can make workers run code; run: chmod 600 {shlex.quote(str(path))}",
            )
        raw = os.read(descriptor, _FILE_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if len(raw) > _FILE_BYTES_MAX:
        raise ConfigError(f"{path} is no key file: it has more than {_FILE_BYTES_MAX} bytes")
    return Keyring.parse(raw.decode("utf-8", "replace"), source=str(path))


def write_key_file(path: str | os.PathLike[str], keyring: Keyring, *, replace: bool = False) -> None:
    """Write a key file that only its owner can read; nobody ever sees half of it.

    Args:
        path: Where to write; its folder must exist.
        keyring: What to write.
        replace: Whether a file that exists is replaced, as after a rotation.

    Raises:
        FileExistsError: There is a file, and `replace` is false.
        ConfigError: It cannot be written.
    """
    target = Path(path).expanduser()
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        _write_private(draft, keyring.dump())
        try:
            if replace:
                draft.replace(target)
            else:
                os.link(draft, target)  # Unlike a rename, it fails if the target exists.
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError:
        raise
    except OSError as error:
        advice = (
            "; its file system knows no hard links: write it elsewhere"
            if error.errno in (errno.EPERM, errno.EOPNOTSUPP)
            else ""
        )
        raise ConfigError(f"the key file {target} cannot be written ({error.strerror}){advice}") from error


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)  # A strange umask may have taken the owner's own rights.
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _from_text(given: str | bytes, source: str) -> Keyring:
    text = given if isinstance(given, str) else given.decode("utf-8", "replace")
    if any(_is_key_line(line.split()) for line in text.splitlines()):
        return Keyring.parse(text, source=source)
    return Keyring.from_secret(given)


def _is_key_line(words: list[str]) -> bool:
    return len(words) == 3 and words[0] in STATES and len(words[1]) == KEY_ID_BYTES
