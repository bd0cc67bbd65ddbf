# ruff: noqa: PTH102, PTH104, PTH106, PTH108, PTH114, PTH118, PTH120
# This module is loaded into the guardian, which does without pathlib.
"""The files of one embedded node: their names, and how they are read, written and locked.

Shared by the guardian and by those who start it. The guardian should be small and start at once, so this
module imports next to nothing: no pathlib, dataclasses, re or json, each of which takes 5 to 20 ms.

    start.lock       held by whoever is starting the node, while it does
    guardian.lock    held by the guardian all its life; its text is the guardian's pid and start time
    data.lock        held by the guardian *and* the server: while either lives, nobody else opens the data
    generation       how often the server was started, as a decimal number
    durability       what the data of the last start should survive
    card             who serves (pids, generation); written anew before the socket of each server appears
    data/            the server's append-only file
    nodes            in the first one's folder: where the nodes of the mesh are, if it has several
    server.log, guardian.log (and .1 of each)

Locks are `flock`s, which vanish with their holders. Lock files are never removed: a process that waits on
the old file and one that made a new one would both believe that they hold the lock.
"""

from __future__ import annotations

import errno
import fcntl
import os

DURABILITIES = ("process", "disk", "memory")
SOCKET_PATH_BYTES_MAX = 99  # the kernel allows 107, macOS 103

_SOCKET, _NEXT_SOCKET, _HIDDEN_SOCKET = "socket", "next", "hidden"


class NodePaths:
    """Where one node keeps what.

    Attributes:
        state: Its folder.
        socket: The Unix socket on which clients find it; in `state`, unless that would make its path too
            long.
    """

    __slots__ = ("socket", "state")

    def __init__(self, state: str, socket_folder: str | None = None) -> None:
        self.state = state
        self.socket = os.path.join(socket_folder or state, _SOCKET)

    @property
    def socket_folder(self) -> str:
        """The folder of the sockets."""
        return os.path.dirname(self.socket)

    @property
    def next_socket(self) -> str:
        """Where a server listens until it is ready to be found."""
        return os.path.join(self.socket_folder, _NEXT_SOCKET)

    @property
    def hidden_socket(self) -> str:
        """Where the socket stands while the guardian makes sure that nobody uses the node."""
        return os.path.join(self.socket_folder, _HIDDEN_SOCKET)

    @property
    def start_lock(self) -> str:
        """The lock of those who start the node."""
        return os.path.join(self.state, "start.lock")

    @property
    def guardian_lock(self) -> str:
        """The lock of the guardian."""
        return os.path.join(self.state, "guardian.lock")

    @property
    def data_lock(self) -> str:
        """The lock of everyone who may write the data."""
        return os.path.join(self.state, "data.lock")

    @property
    def generation(self) -> str:
        """The file that counts the server's starts."""
        return os.path.join(self.state, "generation")

    @property
    def durability(self) -> str:
        """The file that says what the data of the last start should survive."""
        return os.path.join(self.state, "durability")

    @property
    def card(self) -> str:
        """The file that says who serves."""
        return os.path.join(self.state, "card")

    @property
    def data(self) -> str:
        """The server's folder."""
        return os.path.join(self.state, "data")

    @property
    def server_log(self) -> str:
        """What the server has to say."""
        return os.path.join(self.state, "server.log")

    @property
    def guardian_log(self) -> str:
        """What the guardian has to say."""
        return os.path.join(self.state, "guardian.log")


# ------------------------------------------------------------------------------------------------ locks


def open_lock(path: str) -> int:
    """Open (or make) a lock file and return its descriptor, which no started program inherits."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the lock of an open lock file if it is free, and say whether it was."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return False
        raise
    return True


def take_lock(fd: int) -> None:
    """Take the lock of an open lock file, and wait for it while somebody else has it."""
    fcntl.flock(fd, fcntl.LOCK_EX)


def unlock(fd: int) -> None:
    """Give the lock back and close the file.

    Unlocking by name matters: another thread may have forked meanwhile, and its child's copy of the
    descriptor would keep the lock after a mere close.
    """
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def is_locked(path: str) -> bool:
    """Say whether some process holds the lock; a file that does not exist is not locked."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    # Shared, so that two who ask at the same time do not take each other for the holder.
    if not try_lock(fd, shared=True):
        os.close(fd)
        return True
    unlock(fd)
    return False


# ------------------------------------------------------------------------------------------ small files


def write_whole(path: str, content: bytes, *, durable: bool = False) -> None:
    """Replace a file so that readers see the old content or the new.

    Args:
        path: The file.
        content: All of it.
        durable: Return only when it would survive a power loss.
    """
    temporary = path + ".new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    if durable:
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_small(path: str, size: int = 65536) -> bytes | None:
    """Return what a small file holds, or None if there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(fd, size)
    finally:
        os.close(fd)


def remove(path: str) -> None:
    """Remove a file if it exists."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def read_card(path: str) -> dict[str, str] | None:
    """Return the fields of a node's card, or None if there is none."""
    content = read_small(path)
    if content is None:
        return None
    lines = content.decode("utf-8", "surrogateescape").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def write_card(path: str, fields: dict[str, str]) -> None:
    """Write a node's card."""
    text = "".join(f"{name}={value}\n" for name, value in fields.items())
    write_whole(path, text.encode("utf-8", "surrogateescape"))


def read_generation(path: str) -> int:
    """Return how often the server was started before, 0 for a new node.

    Raises:
        ValueError: The file holds something else.
    """
    content = read_small(path)
    if content is None:
        return 0
    number = content.strip()
    if not number.isdigit():
        raise ValueError(
            f"{path} should hold how often the node was started, and holds {number[:40]!r}; write into it a "
            "number larger than the node's generation ever was, or remove the folder to begin anew"
        )
    return int(number)


def read_durability(path: str) -> str | None:
    """Return the durability with which the node was last started, None for a new node.

    Raises:
        ValueError: The file holds something else.
    """
    content = read_small(path)
    if content is None:
        return None
    word = content.decode("ascii", "replace").strip()
    if word not in DURABILITIES:
        raise ValueError(
            f"{path} should hold one of {', '.join(DURABILITIES)}, and holds {word[:40]!r}; remove it, and say "
            "durability= where the mesh is made"
        )
    return word


def note_durability(path: str, durability: str) -> None:
    """Keep with the node's files what its data should survive, unless it stands there."""
    content = f"{durability}\n".encode()
    if read_small(path) != content:
        write_whole(path, content, durable=True)


def tail(path: str, start: int, lines: int = 12) -> str:
    """Return the last lines of what was written to a log after its byte `start`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""  # it is quoted inside the report of another error, which matters more
    try:
        size = os.fstat(fd).st_size
        begin = max(start, size - 8192) if start <= size else max(0, size - 8192)
        text = os.pread(fd, 8192, begin).decode("utf-8", "replace")
    finally:
        os.close(fd)
    return "\n".join(text.splitlines()[-lines:])


def make_data_folder(path: str) -> None:
    """Make the server's folder, and remove what an interrupted rewrite of its file left there."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        for folder, _, files in os.walk(path):
            for name in files:
                if name.startswith("temp-"):
                    remove(os.path.join(folder, name))


def remove_tree(path: str) -> None:
    """Remove a folder and all that is in it; symbolic links are removed, not followed."""
    for folder, folders, files in os.walk(path, topdown=False):
        for name in files:
            remove(os.path.join(folder, name))
        for name in folders:
            inner = os.path.join(folder, name)
            if os.path.islink(inner):
                remove(inner)
            else:
                os.rmdir(inner)
    os.rmdir(path)


# -------------------------------------------------------------------------------------------- processes


def start_time(pid: int) -> str:
    """Return when a process started, in the kernel's own units; "" if it is gone or the system does not say.

    A pid alone may belong to somebody else by now; pid and start time together do not.
    """
    try:
        content = read_small(f"/proc/{pid}/stat")
    except OSError:
        return ""
    if not content:
        return ""
    # The name of the program, in brackets, may hold spaces and brackets itself.
    fields = content[content.rindex(b")") + 2 :].split()
    if fields[0] == b"Z":
        return ""  # dead, its parent has not looked yet
    return fields[19].decode()
