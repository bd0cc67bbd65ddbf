"""Extract, transform, load: each step may fail for a while, and is tried again; rows that are wrong are told apart.

Run it: python examples/11_etl_with_retries.py
"""

import sqlite3
import tempfile
from pathlib import Path

from taskmesh import TaskMesh, current_task

mesh = TaskMesh("etl", embedded="private")


class SourceBusyError(Exception):
    """The source asks us to come back later."""


@mesh.task(autoretry_for=(SourceBusyError,), retry_backoff=0.05, retry_jitter=True, max_retries=5)
def extract(part: int) -> list[str]:
    """Read one part. The source is busy at the first attempt of every third part."""
    if part % 3 == 0 and current_task().attempt == 1:
        raise SourceBusyError(f"part {part}")
    return [f"{part},{n},{'x' if n == 7 and part == 4 else n * n}" for n in range(10)]


@mesh.task
def transform(rows: list[str]) -> tuple[list[tuple[int, int, int]], list[str]]:
    """Parse rows; return those that are right, and those that are not."""
    good, bad = [], []
    for row in rows:
        part, number, value = row.split(",")
        try:
            good.append((int(part), int(number), int(value)))
        except ValueError:
            bad.append(row)
    return good, bad


@mesh.task(autoretry_for=(sqlite3.OperationalError,), default_retry_delay=0.5, max_retries=20)
def load(database: str, rows: list[tuple[int, int, int]]) -> int:
    """Write rows. A message may run again when its worker dies, so the same rows written twice must be harmless."""
    with sqlite3.connect(database, timeout=5) as connection:
        connection.executemany("INSERT OR REPLACE INTO squares VALUES (?, ?, ?)", rows)
    return len(rows)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, mesh.workers(2):
        database = str(Path(folder) / "squares.db")
        with sqlite3.connect(database) as connection:
            connection.execute("CREATE TABLE squares (part, number, value, PRIMARY KEY (part, number))")
        extracted = extract.map(range(12))
        transformed = transform.map(part.get() for part in extracted.as_completed(timeout=60))
        good, bad = zip(*transformed.get(timeout=60), strict=True)
        loaded = load.starmap((database, rows) for rows in good)
        print(f"{sum(loaded.get(timeout=60))} rows loaded, left out: {[row for rows in bad for row in rows]}")
        tried_again = sum(part.retries > 0 for part in extracted)
        print(f"{tried_again} of {len(extracted)} parts were read at a later attempt")
    mesh.close()
