"""Each example runs as its reader would run it, and prints what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PRINTED = {
    "01_first_task.py": [
        "3",
        "report sales, attempt 1, asked for by ada",
        "999000",
        "failed as it should: division by zero",
    ],
    "02_any_callable.py": ["42", "15", "9900"],
    "03_progress.py": ["100 of 500", "200 of 500", "300 of 500", "400 of 500", "500 of 500"],
    "04_asyncio.py": ["page 1", "48 more, the last one page 49"],
    "05_scraping_queue.py": ["60 pages, "],
    "06_thumbnails.py": ["20 thumbnails, none wider than 128"],
    "07_fastapi.py": ["202", "{'customer': 'ann', 'total': 300}", "404"],
    "08_django.py": ["202 True", "invoice-42.pdf", "404"],
    "09_large_file.py": ["1200000 words, 200000 times 'word'"],
    "10_async_crawler.py": ["100 pages, among them 'about /42'"],
    "11_etl_with_retries.py": ["119 rows loaded, left out: ['4,7,x']", "4 of 12 parts"],
    "12_graceful_restart.py": [
        "100 done, 2 workers, none twice: True",
        "the rest went to the new release: True",
    ],
    "13_cron_job.py": [
        "True: each moment once, every {0.5} s",
        "the nightly job runs at {'03:00'} in Europe/Paris",
    ],
    "14_fenced_writer.py": [
        "the first one has the lock",
        "its lease is over, the second one has the lock, with a greater token: True",
        "the second one writes: True",
        "the first one writes: False",
        "the ledger says: from the second",
    ],
    "15_own_leader.py": [
        "one leads, and everybody sees who: True",
        "it dies, and another one leads: True",
        "with a greater token: True",
    ],
    "watched_configuration.py": ["hello, ann", "good evening, ann"],
}


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PRINTED)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PRINTED))
def test_an_example_prints_what_it_should(name, tmp_path):
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path), "TASKMESH_STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert len(lines) == len(PRINTED[name]), ended.stdout
    for line, expected in zip(lines, PRINTED[name], strict=True):
        assert line.startswith(expected)
