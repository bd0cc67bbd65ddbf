"""Small files that all processes of a mesh share, as users see them: `mesh.files`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from taskmesh.client.holding import read_ttl
from taskmesh.client.lock import TTL_S
from taskmesh.client.sessions import LiveSession
from taskmesh.consensus.registers import Keep, Verdict, Versioned
from taskmesh.coordination.file import File, Writing, delete, list_files, read, write
from taskmesh.coordination.file_state import PREFIX, SIZE_MAX
from taskmesh.coordination.means import Means, WaitingSteps
from taskmesh.coordination.session import FILES_MAX, register_of, with_file, without_file
from taskmesh.core.printable import shown
from taskmesh.errors import ChangeRejected, PayloadTooLarge, UsageError

if TYPE_CHECKING:
    from taskmesh.client.coordinator import Coordinator
    from taskmesh.client.file_watch import FileWatch
    from taskmesh.config.arguments import Duration

T = TypeVar("T")

PATH_LENGTH_MAX = 200
_PATH = re.compile(r"[A-Za-z0-9_.@:+=~-]+(?:/[A-Za-z0-9_.@:+=~-]+)*")


#: Inside the class `list` is a method.
ListOfFiles: TypeAlias = list[File]


def check_path(path: object) -> str:
    """Return the path of a file.

    Raises:
        UsageError: It is none.
    """
    if (
        isinstance(path, str)
        and len(path) <= PATH_LENGTH_MAX
        and _PATH.fullmatch(path)
        and not {".", ".."} & set(path.split("/"))
    ):
        return path
    raise UsageError(
        f"path {path!r}: expected at most {PATH_LENGTH_MAX} of A-Z a-z 0-9 _ . @ : + = ~ - in parts with / between "
        "them, and no part that is . or .."
    )


def check_prefix(prefix: object) -> str:
    """Return what paths may begin with: a path, a folder that ends with a slash, or nothing for all.

    Raises:
        UsageError: No path begins so.
    """
    if isinstance(prefix, str):
        if prefix:
            check_path(prefix.removesuffix("/"))
        return prefix
    raise UsageError(f"prefix {prefix!r}: expected text")


class Files:
    """Small files that all processes of a mesh share: up to 64 KiB each, for settings and who is who, not for data.

    Whatever is read is no older than when it was asked for. Each method has a twin for event loops, with an `a` in
    front.
    """

    def __init__(self, coordinator: Callable[[], Coordinator]) -> None:
        """Prepare; nothing is connected yet."""
        self._coordinator = coordinator

    def _run(self, steps: Callable[[Coordinator, Means], WaitingSteps[T]]) -> T:
        coordinator = self._coordinator()
        return coordinator.conversing.run(steps(coordinator, coordinator.means))

    async def _arun(self, steps: Callable[[Coordinator, Means], WaitingSteps[T]]) -> T:
        coordinator = self._coordinator()
        means = await coordinator.open_async()
        return await coordinator.conversing.run_async(steps(coordinator, means))

    # -- reading ----------------------------------------------------------------------

    def read(self, path: str) -> File | None:
        """Return a file; None if there is none.

        Raises:
            UsageError: That is no path.
            NoMajority: Too few acceptors answered.
        """
        check_path(path)
        return self._run(lambda _, means: read(means, path))

    async def aread(self, path: str) -> File | None:
        """As `read`, in an event loop."""
        check_path(path)
        return await self._arun(lambda _, means: read(means, path))

    def list(self, prefix: str = "") -> ListOfFiles:
        """Return the files whose path begins so, sorted by path.

        Raises:
            UsageError: No path begins so.
            NoMajority: Too few acceptors answered.
        """
        check_prefix(prefix)
        return self._run(lambda _, means: list_files(means, prefix))

    async def alist(self, prefix: str = "") -> ListOfFiles:
        """As `list`, in an event loop."""
        check_prefix(prefix)
        return await self._arun(lambda _, means: list_files(means, prefix))

    # -- writing ----------------------------------------------------------------------

    def write(
        self,
        path: str,
        data: bytes | str,
        *,
        if_version: int | None = None,
        fence: int | None = None,
        ephemeral: bool = False,
        ttl: Duration = TTL_S,
    ) -> File:
        """Write a file, and return it with its new version.

        Args:
            path: Parts of `A-Z a-z 0-9 _ . @ : + = ~ -` with `/` between them, 200 characters at most.
            data: The content, 64 KiB at most; text is written as UTF-8.
            if_version: Only if it is at this version: 0 if it must not exist. Whatever it is, if not given.
            fence: The token of a lock, when the file is written by whoever holds it: a token older than the highest
                that this file has seen is refused, and so is none from then on.
            ephemeral: It vanishes when this process ends or is not heard of for `ttl`.
            ttl: In seconds, 2 to 3600.

        Raises:
            VersionConflict: It is at another version; or it should be ephemeral and exists as somebody else's.
            Fenced: The token is too old, or missing.
            UsageError, PayloadTooLarge: Something cannot be.
            ChangeRejected, ChangeUnknown: The acceptors did not agree: certainly not done, or perhaps.
        """
        writing = _writing(path, data, if_version, fence)
        ttl_s = read_ttl(ttl)
        return self._run(
            lambda all_, means: (
                _write_ephemeral(all_, means, writing, ttl_s) if ephemeral else write(means, writing)
            )
        )

    async def awrite(
        self,
        path: str,
        data: bytes | str,
        *,
        if_version: int | None = None,
        fence: int | None = None,
        ephemeral: bool = False,
        ttl: Duration = TTL_S,
    ) -> File:
        """As `write`, in an event loop."""
        writing = _writing(path, data, if_version, fence)
        ttl_s = read_ttl(ttl)
        return await self._arun(
            lambda all_, means: (
                _write_ephemeral(all_, means, writing, ttl_s) if ephemeral else write(means, writing)
            )
        )

    def delete(self, path: str, *, if_version: int | None = None, fence: int | None = None) -> bool:
        """Delete a file, and tell whether there was one.

        Args:
            path: Which.
            if_version: Only if it is at this version.
            fence: As of `write`; it is remembered, also of a file that was deleted.

        Raises:
            As `write`.
        """
        check_path(path)
        return self._run(lambda all_, means: _delete(all_, means, path, if_version, fence))

    async def adelete(self, path: str, *, if_version: int | None = None, fence: int | None = None) -> bool:
        """As `delete`, in an event loop."""
        check_path(path)
        return await self._arun(lambda all_, means: _delete(all_, means, path, if_version, fence))

    # -- watching ---------------------------------------------------------------------

    def watch(self, path: str = "", *, initial: bool = True) -> FileWatch:
        """Watch a file, or all in a folder: `for event in mesh.files.watch("config/"): ...`, or `async for`.

        Args:
            path: A file; or a folder, which ends with a slash; nothing for all.
            initial: Whether files that exist now are told of first, as written.

        Raises:
            UsageError: That is no path.
        """
        return self._coordinator().watchers.watch(check_prefix(path), initial=initial)


def _writing(path: str, data: bytes | str, if_version: int | None, fence: int | None) -> Writing:
    content = file_content(path, data)
    _check_numbers(if_version, fence)
    return Writing(check_path(path), content, if_version, fence)


def file_content(path: str, data: bytes | str) -> bytes:
    """Return what is to be written to a file, as bytes.

    Raises:
        UsageError, PayloadTooLarge: It cannot be.
    """
    if not isinstance(data, (str, bytes, bytearray, memoryview)):
        # bytes(5) would be five zeros
        raise UsageError(f"file {path}: its content is {shown(data)[:80]}: expected bytes, or text")
    try:
        content = data.encode() if isinstance(data, str) else bytes(data)
    except UnicodeEncodeError as error:
        raise UsageError(f"file {path}: its text cannot be written as UTF-8: {error}") from error
    if len(content) > SIZE_MAX:
        raise PayloadTooLarge(
            f"file {path}: {len(content)} bytes, and at most {SIZE_MAX} fit in one. Keep the data elsewhere, "
            "and where it is in the file",
            size=len(content),
            limit=SIZE_MAX,
        )
    return content


def check_token(fence: int | None) -> int | None:
    """Return a token, or that there is none.

    Raises:
        UsageError: It is no number.
    """
    _check_numbers(None, fence)
    return fence


def _check_numbers(if_version: object, fence: object) -> None:
    for what, number in (("if_version", if_version), ("fence", fence)):
        if number is not None and (type(number) is not int or not 0 <= number < 1 << 63):
            raise UsageError(f"{what}={shown(number)}: expected a whole number")


def _write_ephemeral(
    coordinator: Coordinator, means: Means, writing: Writing, ttl_s: float
) -> WaitingSteps[File]:
    register, sessions, me = PREFIX + writing.path, coordinator.sessions, object()
    while True:
        session = yield from sessions.use(means, ttl_s)
        is_counted = register in session.files
        kept = False
        session.writers[register].add(me)
        try:
            if not is_counted and not (yield from _name_in(means, session, register)):
                session.dies("its process was not heard of for too long, and was declared dead")
                session.writers[register].discard(me)
                continue
            file = yield from write(
                means,
                Writing(writing.path, writing.data, writing.if_version, writing.fence, session.id),
            )
            kept = not is_counted
            session.files.add(register)
            session.writers[register].discard(me)
            return file
        except ChangeRejected:
            # only now is it certain that this one did not write it: of what ended otherwise nobody knows
            if register not in session.files:
                yield from _name_out(means, session, register, me)
            session.writers[register].discard(me)
            raise
        finally:
            if not kept:
                # one that is named in the session and was not written does no harm
                sessions.done(session)


def _name_in(means: Means, session: LiveSession, register: str) -> WaitingSteps[bool]:
    """Have a session say that a file vanishes with it; False if it is dead."""
    changed = yield from means.registers.change(
        register_of(session.id), with_file(register), means.operation()
    )
    if changed.answer == b"full":
        raise UsageError(
            f"{register}: {FILES_MAX} ephemeral files vanish with this session already, and no more fit in it"
        )
    return changed.answer == b"alive"


def _name_out(means: Means, session: LiveSession, register: str, me: object) -> WaitingSteps[bool]:
    """Have a file no longer vanish with a session, and tell whether it is so.

    It does not become so where somebody else of this process writes the file, or where nobody knows whether one did:
    it would outlive the process.
    """
    unnamed = False

    def change(found: Versioned) -> Verdict:
        nonlocal unnamed
        # looked at whenever this is tried: whoever writes it from now on finds what this made of the session
        unnamed = not session.writers[register] - {me}
        return without_file(register)(found) if unnamed else Keep()

    yield from means.registers.change(register_of(session.id), change, means.operation())
    return unnamed


def _delete(
    coordinator: Coordinator, means: Means, path: str, if_version: int | None, fence: int | None
) -> WaitingSteps[bool]:
    _check_numbers(if_version, fence)
    was_there = yield from delete(means, path, if_version=if_version, fence=fence)
    register = PREFIX + path
    session = coordinator.sessions.owner_of(register)
    if session is not None and (yield from _name_out(means, session, register, None)):
        session.files.discard(register)
        coordinator.sessions.done(session)
    return was_there
