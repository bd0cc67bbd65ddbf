"""Small files on a real node."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest

from taskmesh.coordination.file import DELETED, WRITTEN
from taskmesh.errors import Fenced, PayloadTooLarge, UsageError, VersionConflict
from tests.support import wait_until

#: A short lease that outlives a machine which stands still for some seconds.
TTL_S = 6.0


def test_what_was_written_is_read_everywhere(mesh, other):
    made = mesh.files.write("config/limits", "rate=5")
    found = other.files.read("config/limits")
    assert found == made
    assert found.text == "rate=5"
    assert (found.generation, found.ephemeral, found.fence) == (1, False, 0)
    assert other.files.read("config/other") is None


def test_a_write_may_say_at_which_version(mesh, other):
    first = mesh.files.write("a", b"1", if_version=0)
    with pytest.raises(VersionConflict, match="file a is at version") as conflict:
        other.files.write("a", b"2", if_version=0)
    assert conflict.value.version == first.version
    second = other.files.write("a", b"2", if_version=first.version)
    with pytest.raises(VersionConflict):
        mesh.files.write("a", b"3", if_version=first.version)
    assert mesh.files.read("a") == second
    assert (second.instance, second.generation) == (first.instance, 2)


def test_of_many_who_count_none_is_lost(mesh, other):
    mesh.files.write("count", "0")

    def count(one) -> None:
        done = 0
        while done < 10:
            found = one.files.read("count")
            try:
                one.files.write("count", str(int(found.text) + 1), if_version=found.version)
            except VersionConflict:
                continue
            done += 1

    threads = [threading.Thread(target=count, args=(one,)) for one in (mesh, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mesh.files.read("count").text == "20"


def test_a_file_that_is_made_again_is_another_one(mesh):
    first = mesh.files.write("a", b"1")
    assert mesh.files.delete("a")
    assert mesh.files.read("a") is None
    assert not mesh.files.delete("a")
    again = mesh.files.write("a", b"1", if_version=0)
    assert again.instance > first.instance
    assert again.version > first.version
    assert again.generation == 1
    with pytest.raises(VersionConflict):
        mesh.files.delete("a", if_version=first.version)


def test_an_old_token_writes_no_more(mesh, other):
    mesh.files.write("a", b"1", fence=7)
    mesh.files.write("a", b"2", fence=9)
    mesh.files.write("a", b"3", fence=9)
    with pytest.raises(Fenced, match="token 8 is older than 9") as refused:
        other.files.write("a", b"4", fence=8)
    assert (refused.value.token, refused.value.highest) == (8, 9)
    with pytest.raises(Fenced, match="give the token of the lock as fence="):
        other.files.write("a", b"4")
    assert other.files.read("a").data == b"3"


def test_a_token_is_remembered_of_a_file_that_was_deleted(mesh):
    mesh.files.write("a", b"1", fence=7)
    assert mesh.files.delete("a", fence=8)
    assert mesh.files.read("a") is None
    assert mesh.files.list() == []
    with pytest.raises(Fenced):
        mesh.files.write("a", b"2", fence=7)
    assert mesh.files.write("a", b"2", fence=8, if_version=0).fence == 8


def test_files_are_listed_by_folder(mesh):
    for path in ("b", "a/1", "a/2", "ab"):
        mesh.files.write(path, path)
    mesh.files.delete("a/2")
    assert [file.path for file in mesh.files.list()] == ["a/1", "ab", "b"]
    assert [file.path for file in mesh.files.list("a/")] == ["a/1"]


def test_a_file_holds_64_kib(mesh):
    assert mesh.files.write("a", b"x" * 65536, fence=2**40, ephemeral=True).data == b"x" * 65536
    with pytest.raises(PayloadTooLarge, match="65537 bytes, and at most 65536"):
        mesh.files.write("a", b"x" * 65537)


@pytest.mark.parametrize("number", [0.5, float("nan"), True, "1", -1, 2**63])
@pytest.mark.parametrize("name", ["fence", "if_version"])
def test_a_number_that_is_none_is_refused(mesh, name, number):
    """It would stand in the file, and nobody could read that any more."""
    for change in (
        lambda **given: mesh.files.write("a", "x", **given),
        lambda **g: mesh.files.delete("a", **g),
    ):
        with pytest.raises(UsageError, match=name):
            change(**{name: number})


@pytest.mark.parametrize("data", [5, None, ["x"], "\ud800"])
def test_content_that_is_none_is_refused(mesh, data):
    with pytest.raises(UsageError, match="file a: "):
        mesh.files.write("a", data)


@pytest.mark.parametrize("timeout", [float("nan"), "1s"])
def test_a_watch_is_asked_for_a_time_that_is_one(mesh, timeout):
    with mesh.files.watch("a") as watch, pytest.raises(UsageError, match="timeout="):
        watch.get(timeout)


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "a b", "../a", "a/./b", "x" * 201, None])
def test_a_path_that_is_none_is_refused(mesh, path):
    with pytest.raises(UsageError, match="path "):
        mesh.files.read(path)


@pytest.mark.parametrize(
    ("data", "settings", "says"),
    [
        (5, {}, "its content is 5: expected bytes, or text"),
        ({"rate": 5}, {}, "its content is {'rate': 5}"),
        ("a", {"if_version": "1"}, "if_version='1': expected a whole number"),
        ("a", {"fence": True}, "fence=True"),
    ],
)
def test_what_cannot_be_written_is_refused(mesh, data, settings, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        mesh.files.write("a", data, **settings)
    assert mesh.files.read("a") is None


def test_an_ephemeral_file_vanishes_with_its_process(mesh, make_holder):
    holder = make_holder()
    holder.ask("write", "workers/1", "here", ephemeral=True)
    assert mesh.files.read("workers/1").ephemeral
    assert holder.process.stdin is not None
    holder.process.stdin.close()
    holder.process.wait(90)
    assert mesh.files.read("workers/1") is None


def test_an_ephemeral_file_vanishes_when_its_process_is_killed(mesh, make_holder):
    holder = make_holder()
    holder.ask("write", "workers/1", "here", ephemeral=True, ttl=TTL_S)
    with mesh.files.watch("workers/") as watch:
        assert watch.get(90).kind == WRITTEN
        holder.kill()
        event = watch.get(90)
    assert (event.kind, event.path, event.file) == (DELETED, "workers/1", None)
    # a new one may be made at once
    assert mesh.files.write("workers/1", "again", if_version=0).generation == 1


def test_an_ephemeral_file_is_kept_alive_and_can_be_deleted(mesh, other):
    made = mesh.files.write("workers/1", "here", ephemeral=True, ttl=TTL_S)
    session = next(iter(mesh.coordinator.sessions.own()))
    again = mesh.files.write("workers/1", "still here", ephemeral=True, ttl=TTL_S)
    assert again.instance == made.instance
    with pytest.raises(VersionConflict, match="vanishes with the session of another process"):
        other.files.write("workers/1", "mine", ephemeral=True)
    assert other.files.write("workers/1", "noted").ephemeral
    assert mesh.files.delete("workers/1")
    wait_until(lambda: session not in mesh.coordinator.sessions.own())


def test_a_watch_tells_what_is_there_and_what_happens(mesh, other):
    mesh.files.write("config/a", b"1")
    mesh.files.write("elsewhere", b"1")
    with other.files.watch("config/") as watch:
        assert (event := watch.get(90)).path == "config/a"
        assert event.file.data == b"1"
        mesh.files.write("config/a", b"2")
        assert watch.get(90).file.data == b"2"
        mesh.files.write("config/b", b"3")
        assert watch.get(90).path == "config/b"
        mesh.files.delete("config/a")
        assert watch.get(90).kind == DELETED
        assert watch.get(0) is None


def test_a_watch_of_one_file_that_is_not_there_yet(mesh, other):
    with other.files.watch("a", initial=False) as watch:
        wait_until(lambda: not watch.is_new)
        mesh.files.write("ab", b"no")
        mesh.files.write("a", b"yes")
        assert watch.get(90).path == "a"


def test_watchers_of_one_process_share_one_thread(mesh):
    with mesh.files.watch("a") as one, mesh.files.watch("b/") as two, mesh.files.watch() as three:
        mesh.files.write("b/c", b"1")
        assert two.get(90).path == "b/c"
        assert three.get(90).path == "b/c"
        assert one.get(0) is None
        # one of a test before may not have ended yet
        wait_until(lambda: [each.name for each in threading.enumerate()].count("taskmesh-files") == 1)


def test_a_watch_that_is_closed_ends(mesh):
    watch = mesh.files.watch("a")
    threading.Thread(target=watch.close).start()
    assert list(watch) == []


def test_everything_in_an_event_loop(mesh):
    async def main() -> None:
        files = mesh.files
        made = await files.awrite("a/1", "x")
        assert await files.aread("a/1") == made
        assert await files.alist("a/") == [made]
        async with asyncio.timeout(90):
            with files.watch("a/") as watch:
                seen = []
                async for event in watch:
                    seen.append(event.kind)
                    if len(seen) == 2:
                        break
                    assert await files.adelete("a/1")
        assert seen == [WRITTEN, DELETED]

    asyncio.run(main())
