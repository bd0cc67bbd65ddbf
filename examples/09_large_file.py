"""One large file, many workers: each counts the words of a part, by an executor as in the standard library.

Run it: python examples/09_large_file.py [FILE]
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from taskmesh import TaskMesh

mesh = TaskMesh("large-file", embedded="private")


def parts(path: str, size: int) -> Iterator[tuple[str, int, int]]:
    """Yield parts of about `size` bytes that end where lines end."""
    total = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        start = 0
        while start < total:
            file.seek(min(start + size, total))
            file.readline()
            yield path, start, file.tell()
            start = file.tell()


def count_words(part: tuple[str, int, int]) -> Counter[bytes]:
    """Count the words of one part. A plain function: it travels to the workers with the calls."""
    path, start, end = part
    with Path(path).open("rb") as file:
        file.seek(start)
        return Counter(file.read(end - start).split())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, mesh.workers(2):
        path = sys.argv[1] if len(sys.argv) > 1 else str(Path(scratch) / "text")
        if len(sys.argv) == 1:
            lines = (f"line {n} has the word {n % 7}\n" for n in range(200_000))
            Path(path).write_text("".join(lines))
        total: Counter[bytes] = Counter()
        with mesh.executor() as executor:
            for counted in executor.map(count_words, parts(path, 500_000)):
                total.update(counted)
        print(f"{sum(total.values())} words, {total[b'word']} times 'word'")
    mesh.close()
