"""What "The Chubby lock service for loosely-coupled distributed systems" (Burrows, 2006) promises, section by section.

Where we leave the paper, `docs/divergence.md` says why.
"""

from __future__ import annotations

import os
import signal

import pytest

from taskmesh import TaskMesh
from taskmesh.client.holding import DELAY_S_MAX
from taskmesh.errors import Fenced, LockError, UsageError, VersionConflict
from taskmesh.nodes.embedded import start_private
from tests.integration.locks.conftest import make_holder, make_mesh, mesh, other, url
from tests.support import wait_until

__all__ = ["make_holder", "make_mesh", "mesh", "other", "url"]

pytestmark = pytest.mark.needs_server


class Test2_2FilesDirectoriesHandles:  # noqa: N801
    """Nodes are permanent or ephemeral; four numbers tell clients what changed."""

    def test_an_instance_number_is_greater_than_that_of_any_earlier_node_of_the_name(self, mesh) -> None:
        instances = []
        for _ in range(3):
            instances.append(mesh.files.write("ls/a", b"x").instance)
            mesh.files.delete("ls/a")
        assert instances == sorted(set(instances))

    def test_a_content_generation_grows_when_the_contents_are_written(self, mesh) -> None:
        assert [mesh.files.write("ls/a", b"x").generation for _ in range(3)] == [1, 2, 3]

    def test_a_lock_generation_grows_when_the_lock_goes_from_free_to_held(self, mesh, other) -> None:
        tokens = []
        for one in (mesh, other, mesh):
            with one.lock("a") as lock:
                tokens.append(lock.token)
        assert tokens == sorted(set(tokens))

    def test_contents_are_written_if_the_generation_is_the_one_that_was_read(self, mesh) -> None:
        old = mesh.files.write("ls/a", b"1")
        mesh.files.write("ls/a", b"2", if_version=old.version)
        with pytest.raises(VersionConflict):
            mesh.files.write("ls/a", b"3", if_version=old.version)

    def test_ephemeral_files_are_deleted_when_no_client_has_them_open(self, mesh, make_holder) -> None:
        """They serve as temporary files, and as indicators to others that a client is alive."""
        holder = make_holder()
        holder.ask("write", "ls/alive", "", ephemeral=True)
        assert mesh.files.read("ls/alive") is not None
        holder.process.stdin.close()
        holder.process.wait(90)
        assert mesh.files.read("ls/alive") is None


class Test2_4LocksAndSequencers:  # noqa: N801
    """A sequencer tells a server whether a request is still protected by its lock."""

    def test_one_writer_or_any_number_of_readers(self, mesh, other) -> None:
        with mesh.lock("a", mode="shared"), other.lock("a", mode="shared", wait=0):
            assert not mesh.lock("a").acquire(wait=0)
        with mesh.lock("a"):
            assert not other.lock("a", mode="shared").acquire(wait=0)

    def test_locks_are_advisory(self, mesh, other) -> None:
        """Holding one is not necessary to get at what it is about."""
        with mesh.lock("ls/a"):
            other.files.write("ls/a", b"whoever does not ask is not kept out")

    def test_a_server_refuses_a_sequencer_older_than_the_last_one_that_it_has_seen(self, mesh) -> None:
        with mesh.lock("a") as lock:
            old = lock.token
        with mesh.lock("a") as lock:
            mesh.files.write("ls/a", b"2", fence=lock.token)
        with pytest.raises(Fenced):
            mesh.files.write("ls/a", b"1", fence=old)

    def test_a_lock_that_is_given_back_normally_is_free_at_once(self, mesh, other) -> None:
        with mesh.lock("a", lock_delay=60):
            pass
        assert other.lock("a").acquire(wait=0)

    def test_a_lock_of_a_holder_that_failed_is_kept_from_others_for_the_lock_delay(self, mesh, other) -> None:
        mesh.lock("a", lock_delay=60).acquire()
        other.break_lock("a")
        assert not other.lock("a").acquire(wait=0.2)

    def test_a_lock_delay_has_a_bound_of_one_minute(self, mesh) -> None:
        """So that a faulty client does not make a lock unavailable for long."""
        assert DELAY_S_MAX == 60
        with pytest.raises(UsageError):
            mesh.lock("a", lock_delay=61)


class Test2_5Events:  # noqa: N801
    """Events come after the action: who hears that contents were modified sees the new ones, or later ones."""

    def test_file_contents_modified_and_children_added_and_removed(self, mesh, other) -> None:
        with other.files.watch("ls/", initial=False) as watch:
            wait_until(lambda: not watch.is_new)
            made = mesh.files.write("ls/a", b"1")
            event = watch.get(90)
            assert (event.kind, event.file.version) == ("written", made.version)
            assert other.files.read("ls/a").version >= event.file.version
            mesh.files.delete("ls/a")
            assert watch.get(90).kind == "deleted"

    def test_a_handle_has_become_invalid(self, mesh, other) -> None:
        told = []
        lock = mesh.lock("a", ttl=2)
        lock.on_jeopardy(told.append)
        lock.acquire()
        other.break_lock("a")
        wait_until(lambda: told)
        wait_until(
            lambda: not lock.is_held
        )  # it may have been told only that it could not be kept for a moment
        with pytest.raises(LockError):
            lock.check()


class Test2_8SessionsAndKeepAlives:  # noqa: N801
    """All that a client holds stays valid while its session does."""

    @pytest.mark.slow
    def test_a_session_is_kept_alive_for_longer_than_its_lease(self, mesh, other) -> None:
        with mesh.lock("a", ttl=8, lock_delay=0):
            assert not other.lock("a").acquire(wait=12)

    def test_a_session_ends_when_its_client_is_not_heard_of(self, mesh, make_holder) -> None:
        holder = make_holder()
        holder.ask("acquire", "a", ttl=2, lock_delay=0)
        holder.stop()
        with mesh.lock("a", wait=60):
            holder.go_on()
            wait_until(lambda: holder.ask("check", "a")["error"] == "LockLost")
            # it is a new session that asks again, and waits as all do
            assert holder.ask("acquire", "a", wait=0, ttl=2) is None
        assert holder.ask("acquire", "a", ttl=2) > 0


class Test2_9FailOvers:  # noqa: N801
    """A client does not lose its session by a fail-over; a new master does not take old calls for new."""

    def test_a_lock_outlives_a_node_that_comes_back(self) -> None:
        with start_private("chubby", durability="process") as node:
            address = f"unix://{node.socket_path}"
            with TaskMesh("chubby", nodes=[address]) as mesh, TaskMesh("chubby", nodes=[address]) as other:
                lock = mesh.lock("a", ttl=60)
                lock.acquire()
                killed(node)
                assert not other.lock("a").acquire(wait=0)
                lock.check()
                assert lock.release()
                assert other.lock("a").acquire(wait=30)

    def test_a_node_that_forgot_everything_gives_no_token_twice(self) -> None:
        """The embedded node counts its starts, and that number is the first part of each token."""
        with start_private("chubby", durability="memory") as node:
            address = f"unix://{node.socket_path}"
            with TaskMesh("chubby", nodes=[address]) as mesh, TaskMesh("chubby", nodes=[address]) as other:
                old = mesh.lock("a", ttl=10)
                old.acquire()
                token = old.token
                killed(node)
                with other.lock("a", wait=60) as new:
                    assert new.token > token
                    wait_until(lambda: not old.is_held)


def killed(node) -> None:
    """Kill the server; its guardian starts it anew."""
    before = node.generation
    os.kill(node.server_pid, signal.SIGKILL)
    wait_until(lambda: node.generation > before)
