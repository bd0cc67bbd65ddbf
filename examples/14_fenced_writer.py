"""A lock keeps others out; its token keeps out whoever held it before and does not know that he lost it.

One process holds the lock and is stopped, as by a laptop that is closed, for longer than its lease. Another gets the
lock and writes. When the first goes on, it still believes that it holds the lock, and its write is refused: the table
knows a greater token.

Run it: python examples/14_fenced_writer.py
"""

import multiprocessing
import os
import signal
import sqlite3
import sys
import tempfile
from pathlib import Path

from taskmesh import TaskMesh


def write(database: str, text: str, token: int) -> bool:
    """Write if no greater token was seen: the check and the write are one statement."""
    with sqlite3.connect(database) as connection:
        changed = connection.execute(
            "UPDATE ledger SET text = ?, token = ? WHERE token <= ?", (text, token, token)
        )
        return changed.rowcount == 1


def hold_and_write_later(url: str, database: str, pipe) -> None:
    mesh = TaskMesh("fenced", nodes=[url])
    lock = mesh.lock("ledger", ttl=5, lock_delay=0)
    lock.acquire()
    pipe.send(lock.token)
    token = pipe.recv()  # it is stopped here, and does not know it
    pipe.send(write(database, "from the one that was stopped", token))
    mesh.close()


if __name__ == "__main__":
    if sys.platform == "win32":
        raise SystemExit("this example stops a process, which Windows cannot")
    mesh = TaskMesh("fenced", embedded="private")
    database = str(Path(tempfile.mkdtemp()) / "ledger.db")
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE ledger AS SELECT 'nothing' AS text, 0 AS token")

    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=hold_and_write_later, args=(mesh.address().url, database, theirs))
    process.start()
    first = ours.recv()
    print("the first one has the lock")
    os.kill(process.pid, signal.SIGSTOP)

    with mesh.lock("ledger", wait=60, lock_delay=0) as lock:
        print("its lease is over, the second one has the lock, with a greater token:", lock.token > first)
        print("the second one writes:", write(database, "from the second", lock.token))
        os.kill(process.pid, signal.SIGCONT)
        ours.send(first)
        print("the first one writes:", ours.recv())
    process.join()
    with sqlite3.connect(database) as connection:
        print("the ledger says:", connection.execute("SELECT text FROM ledger").fetchone()[0])
    mesh.close()
