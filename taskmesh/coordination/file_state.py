"""What the register of a file holds, and what becomes of it."""

from __future__ import annotations

import msgspec

from taskmesh.consensus.registers import Change, Delete, Keep, Refuse, Verdict, Versioned, Write
from taskmesh.coordination.content import Content
from taskmesh.errors import Fenced, VersionConflict

PREFIX = "file/"
SIZE_MAX = 64 * 1024
NOBODY = b""


class FileState(msgspec.Struct, array_like=True, frozen=True):
    """What the register holds.

    Attributes:
        data: The content; None for a file that is no more, of which the highest token is still known.
        instance: Another one for each time that the file is created.
        generation: 1 for the first content of an instance, 1 more for each that follows.
        owner: The session with which the file vanishes; `NOBODY` for one that stays.
        fence: The highest token that wrote or deleted it; 0 if none did.
    """

    data: bytes | None
    instance: int = 0
    generation: int = 0
    owner: bytes = NOBODY
    fence: int = 0


ABSENT = FileState(None)
_CONTENT = Content(FileState, "what the register of a file holds")


def read_file_state(found: Versioned) -> FileState:
    """Return what a register holds; one without data where there is no file.

    Raises:
        Malformed: It cannot be read.
    """
    return ABSENT if found.content is None else _CONTENT.unpack(found.content)


def version_of(found: Versioned) -> int:
    """Return the version of a file: 0 where there is none."""
    return 0 if read_file_state(found).data is None else found.version


def _refusal(path: str, found: Versioned, if_version: int | None, fence: int | None) -> Refuse | None:
    highest = read_file_state(found).fence
    if fence is None and highest:
        return Refuse(
            Fenced(
                f"file {path} is written with tokens, the last was {highest}: give the token of the lock as fence= (in "
                "a command: --fence)",
                register=PREFIX + path,
                token=0,
                highest=highest,
            )
        )
    if fence is not None and fence < highest:
        return Refuse(
            Fenced(
                f"file {path}: token {fence} is older than {highest}, which wrote it since: whoever holds {fence} has "
                "lost what it was given for",
                register=PREFIX + path,
                token=fence,
                highest=highest,
            )
        )
    version = version_of(found)
    if if_version is not None and version != if_version:
        stands = f"is at version {version}" if version else "does not exist"
        return Refuse(
            VersionConflict(
                f"file {path} {stands}, and not at version {if_version}: read it, and decide anew",
                register=PREFIX + path,
                version=version,
            )
        )
    return None


def written(
    path: str,
    data: bytes,
    *,
    if_version: int | None,
    fence: int | None,
    owner: bytes | None,
    instance: int,
    alive: bytes,
) -> Change:
    """Write a file.

    The answer is empty when that is done; `new` where the there is no file and no instance was given; or the owner of a
    file whose session must be looked at first.

    Args:
        path: Of the file.
        data: The new content.
        if_version: At which version it must be; 0: it must not exist. None: whatever it is.
        fence: A token; one lower than the highest seen is refused.
        owner: The session with which a new file vanishes, `NOBODY`; None to leave that as it is.
        instance: For a new file; 0 if not drawn.
        alive: An owner that is known to live.
    """

    def change(found: Versioned) -> Verdict:
        state = read_file_state(found)
        if state.data is not None and state.owner not in (NOBODY, owner, alive):
            return Keep(state.owner)
        refusal = _refusal(path, found, if_version, fence)
        if refusal is not None:
            return refusal
        if state.data is not None and owner is not None and owner != state.owner:
            kind = "vanishes with the session of another process" if state.owner else "stays"
            return Refuse(
                VersionConflict(
                    f"file {path} exists and {kind}: delete it first",
                    register=PREFIX + path,
                    version=found.version,
                )
            )
        if state.data is None and not instance:
            return Keep(b"new")
        is_new = state.data is None
        new = FileState(
            data,
            instance if is_new else state.instance,
            1 if is_new else state.generation + 1,
            (owner or NOBODY) if is_new else state.owner,
            state.fence if fence is None else fence,
        )
        return Write(_CONTENT.pack(new))

    return change


def _removed(state: FileState, fence: int | None) -> Verdict:
    highest = state.fence if fence is None else fence
    # an old token must be refused for as long as the name may be used again
    return Write(_CONTENT.pack(FileState(None, fence=highest)), b"deleted") if highest else Delete(b"deleted")


def deleted(path: str, *, if_version: int | None, fence: int | None) -> Change:
    """Delete a file; the answer is `deleted`, or empty if there was none."""

    def change(found: Versioned) -> Verdict:
        refusal = _refusal(path, found, if_version, fence)
        if refusal is not None:
            return refusal
        state = read_file_state(found)
        return Keep() if state.data is None else _removed(state, fence)

    return change


def orphaned(session: bytes) -> Change:
    """Delete a file that vanishes with a session, which is dead."""

    def change(found: Versioned) -> Verdict:
        state = read_file_state(found)
        return _removed(state, None) if state.data is not None and state.owner == session else Keep()

    return change
