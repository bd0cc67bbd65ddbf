"""Which key is used, who may read its file, and that two processes end with the same one."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from taskmesh.codec.keyring import Key, Keyring
from taskmesh.errors import ConfigError
from taskmesh.nodes.keyfile import account_key_path, load_keyring, read_key_file, write_key_file

RING = Keyring(Key.of(b"1" * 32), (Key.of(b"2" * 32),))
OTHER = Keyring(Key.of(b"3" * 32))
SECRET = "a secret of enough bytes"


def state(folder: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(folder)}


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_that_is_not_there_is_named_in_full_and_no_new_key_is_advised_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path leads elsewhere from another folder, and a key made there is not that of the mesh."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASKMESH_KEY_FILE", "secrets/mesh.key")
    with pytest.raises(ConfigError) as refused:
        load_keyring(allow_create=True)
    said = str(refused.value)
    assert said.startswith(f"there is no key file {tmp_path}/secrets/mesh.key; ")
    assert f"TASKMESH_KEY_FILE=secrets/mesh.key is relative to the current folder, {tmp_path}" in said
    assert said.index("by its absolute path") < said.index("for a new mesh, `taskmesh key new")
    with pytest.raises(ConfigError) as refused:
        read_key_file("/nowhere/mesh.key")
    assert "relative" not in str(refused.value)


def test_the_path_of_the_accounts_file() -> None:
    home = {"HOME": "/home/ann"}
    assert account_key_path(home) == Path("/home/ann/.local/state/taskmesh/key")
    assert account_key_path({**home, "XDG_STATE_HOME": "/var/s"}) == Path("/var/s/taskmesh/key")
    assert account_key_path({**home, "XDG_STATE_HOME": "s"}) == account_key_path(home), "relative: ignored"
    assert account_key_path({}).parts[-2:] == ("taskmesh", "key")


def test_first_use_makes_a_private_file_and_later_uses_read_it(tmp_path: Path) -> None:
    made = load_keyring(environ=state(tmp_path), allow_create=True)
    path = tmp_path / "taskmesh" / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert names_in(path.parent) == ["key"], "no draft is left behind"
    assert load_keyring(environ=state(tmp_path), allow_create=True) == made


def test_a_strange_umask_changes_nothing(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        write_key_file(tmp_path / "key", RING)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_the_order_of_sources(tmp_path: Path) -> None:
    write_key_file(tmp_path / "one", RING)
    write_key_file(tmp_path / "two", OTHER)
    secret = Keyring.from_secret(SECRET)
    environ = {**state(tmp_path), "TASKMESH_KEY": SECRET, "TASKMESH_KEY_FILE": str(tmp_path / "two")}
    assert load_keyring(RING, tmp_path / "two", environ, allow_create=False) is RING
    assert load_keyring(SECRET, tmp_path / "one", {}, allow_create=False) == secret
    assert load_keyring(None, tmp_path / "one", environ, allow_create=False) == RING
    assert load_keyring(None, None, environ, allow_create=False) == secret
    del environ["TASKMESH_KEY"]
    assert load_keyring(None, None, environ, allow_create=True) == OTHER
    assert not (tmp_path / "taskmesh").exists(), "a key was given: none is made"


def test_the_process_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKMESH_KEY", SECRET)
    assert load_keyring(allow_create=False) == Keyring.from_secret(SECRET)
    monkeypatch.delenv("TASKMESH_KEY")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert load_keyring(allow_create=True) == read_key_file(tmp_path / "taskmesh" / "key")


def test_the_text_of_a_key_file_may_be_given_as_the_key() -> None:
    """A container gets its keys as one variable; a rotation must fit in there too."""
    assert load_keyring(RING.dump(), environ={}, allow_create=False) == RING
    assert load_keyring(environ={"TASKMESH_KEY": RING.dump()}, allow_create=False) == RING
    with pytest.raises(ConfigError, match="TASKMESH_KEY has 0 active keys"):
        load_keyring(environ={"TASKMESH_KEY": RING.dump().replace("active", "accepted")}, allow_create=False)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 16"):
        load_keyring("hunter2", environ={}, allow_create=True)
    with pytest.raises(ConfigError, match="at least 16"):
        load_keyring("", environ={}, allow_create=True)


def test_nodes_beyond_this_machine_need_a_key_given(tmp_path: Path) -> None:
    load_keyring(environ=state(tmp_path), allow_create=True)
    with pytest.raises(ConfigError, match=r"no key was given .*`taskmesh key new --out FILE`"):
        load_keyring(environ={**state(tmp_path), "TASKMESH_KEY": ""}, allow_create=False)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o666])
def test_a_file_that_others_can_read_is_refused_with_the_command(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "my key"
    write_key_file(path, RING)
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        read_key_file(path)
    assert f"(mode {mode:04o})" in str(caught.value)
    assert str(caught.value).endswith(f"run: chmod 600 '{path}'")
    path.chmod(0o400)
    assert read_key_file(path) == RING


def test_a_folder_that_others_can_write_is_refused_with_the_command(tmp_path: Path) -> None:
    load_keyring(environ=state(tmp_path), allow_create=True)
    (tmp_path / "taskmesh").chmod(0o777)
    with pytest.raises(ConfigError, match=rf"\(mode 0777\).*run: chmod 700 {tmp_path}/taskmesh"):
        load_keyring(environ=state(tmp_path), allow_create=True)


def test_what_is_no_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"there is no key file {tmp_path}/absent; name the key file"):
        read_key_file(tmp_path / "absent")
    with pytest.raises(ConfigError, match="is not a regular file"):
        read_key_file(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="is not a regular file"):
        read_key_file(tmp_path / "pipe")
    large = tmp_path / "large"
    large.write_bytes(bytes(100_000))
    large.chmod(0o600)
    with pytest.raises(ConfigError, match="more than 65536 bytes"):
        read_key_file(large)
    large.write_bytes(b"\xff\xfe not text")
    with pytest.raises(ConfigError, match=f"line 1 of {large} is not"):
        read_key_file(large)


def test_a_state_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be used \(Not a directory\); set XDG_STATE_HOME"):
        load_keyring(environ=state(tmp_path / "file"), allow_create=True)


def test_a_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_key_file(path, RING)
    with pytest.raises(FileExistsError):
        write_key_file(path, OTHER)
    assert read_key_file(path) == RING
    write_key_file(path, OTHER, replace=True)
    assert read_key_file(path) == OTHER
    assert names_in(tmp_path) == ["key"]
    with pytest.raises(ConfigError, match=r"cannot be written \(No such file or directory\)"):
        write_key_file(tmp_path / "absent" / "key", RING)


def test_whoever_comes_second_takes_the_key_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race, made certain: the other process finishes just before ours links its file."""
    link = os.link

    def link_late(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        write_key_file(target, RING)
        link(source, target)

    monkeypatch.setattr(os, "link", link_late)
    assert load_keyring(environ=state(tmp_path), allow_create=True) == RING
    assert names_in(tmp_path / "taskmesh") == ["key"]


def test_processes_that_start_together_end_with_one_key(tmp_path: Path) -> None:
    code = (
        "import sys; from taskmesh.nodes.keyfile import load_keyring; sys.stdin.read(); "
        "print(load_keyring(allow_create=True).active.name)"
    )
    root = Path(__file__).resolve().parents[3]
    environ = {**os.environ, **state(tmp_path), "PYTHONPATH": str(root)}
    environ.pop("TASKMESH_KEY", None)
    environ.pop("TASKMESH_KEY_FILE", None)
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.close()
        starter.stdin = None
    names = {starter.communicate(timeout=180)[0] for starter in starters}
    assert names == {read_key_file(tmp_path / "taskmesh" / "key").active.name + "\n"}
