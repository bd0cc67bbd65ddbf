"""Every code block of the README and of the docs is run as its reader would run it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from taskmesh.errors import ServerBinaryMissing
from taskmesh.nodes.server_binary import find_server
from tests.examples.blocks import Block, blocks, documents_of, fits, shell_steps

ROOT = Path(__file__).parents[2]
DOCUMENTS = [path for path in documents_of(ROOT) if list(blocks(path.read_text()))]
BLOCK_S = 180


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


class Story:
    """One document being followed, in a folder and with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        (folder / "home").mkdir()
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("TASKMESH_")} | {
            "HOME": str(folder / "home"),
            "TASKMESH_STATE_DIR": str(folder / "state"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "120",
        }
        self.log = folder / "log"
        self._python: subprocess.Popen[str] | None = None
        self._workers: list[subprocess.Popen[str]] = []

    def follow(self, block: Block) -> None:
        """Do what a block says, and compare."""
        getattr(self, f"_{block.kind}")(block)

    def _file(self, block: Block) -> None:
        path = self.folder / block.what
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)

    def _worker(self, block: Block) -> None:
        """Start a worker, and wait until it says that it is ready, as a reader sees in another window."""
        # a short path: sockets have at most 107 characters
        with (
            TemporaryDirectory(prefix="tm-", dir="/tmp") as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
            self.log.open("ab") as log,
        ):
            manager.bind(f"{folder}/notify")
            manager.settimeout(BLOCK_S)
            self._workers.append(
                subprocess.Popen(
                    ["taskmesh", "worker", *block.what.split()],
                    cwd=self.folder,
                    env=self.environ | {"NOTIFY_SOCKET": f"{folder}/notify"},
                    stdout=log,
                    stderr=log,
                    text=True,
                )
            )
            while b"READY=1" not in manager.recv(4096).split(b"\n"):
                pass

    def _end(self, block: Block) -> None:
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            assert worker.wait(BLOCK_S) == 0
        self._workers.clear()

    def _program(self, block: Block) -> None:
        (self.folder / "program.py").write_text(block.text)
        self._run([sys.executable, "program.py"])

    def _console(self, block: Block) -> None:
        for command, shown in shell_steps(block.text):
            printed = self._run(["bash", "-euo", "pipefail", "-c", command])
            assert not shown or fits(printed, shown), f"`{command}` printed:\n{printed}"

    def _run(self, command: list[str]) -> str:
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=BLOCK_S,
            check=False,
        )
        assert ended.returncode == 0, (
            f"{command[-1]} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        )
        return ended.stdout

    def _session(self, block: Block) -> None:
        self._tell(block)

    def _pycon(self, block: Block) -> None:
        for found in self._tell(block):
            assert fits(found["printed"], found["shown"]), f">>> {found['typed']}\n{found['printed']}"

    def _tell(self, block: Block) -> list[dict]:
        session = self._open()
        session.stdin.write(json.dumps([block.kind, block.line, block.text]) + "\n")
        session.stdin.flush()
        if not select.select([session.stdout], [], [], BLOCK_S)[0]:
            session.kill()
            pytest.fail(f"the block in line {block.line} did not end within {BLOCK_S:g} s")
        told = json.loads(session.stdout.readline() or '{"failed": "the session ended"}')
        assert "failed" not in told, told["failed"]
        return told["told"]

    def _open(self) -> subprocess.Popen[str]:
        if self._python is None:
            with self.log.open("ab") as log:
                self._python = subprocess.Popen(
                    [sys.executable, str(Path(__file__).with_name("session.py"))],
                    cwd=self.folder,
                    env=self.environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
        return self._python

    def close(self) -> None:
        """End what was started."""
        if self._python is not None:
            self._python.stdin.close()
            self._python.wait(BLOCK_S)
            self._python.stdout.close()
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            worker.wait(BLOCK_S)
        subprocess.run(
            ["taskmesh", "down", "--all"], cwd=self.folder, env=self.environ, check=False, capture_output=True
        )


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    try:
        find_server()
    except ServerBinaryMissing as error:
        pytest.skip(str(error))
    story = Story(tmp_path)
    yield story
    story.close()


@pytest.mark.slow
@pytest.mark.needs_server
@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_a_document_does_what_it_says(path: Path, story: Story) -> None:
    for block in blocks(path.read_text()):
        try:
            story.follow(block)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            log = story.log.read_text()[-2000:] if story.log.exists() else ""
            pytest.fail(f"{named(path)}, line {block.line}: {error}\n{log}")


def test_there_are_documents_to_run() -> None:
    assert ROOT / "README.md" in DOCUMENTS


def test_blocks_are_found_in_order() -> None:
    text = (
        "<!-- file: a.py -->\n```python\nx = 1\n```\n<!-- worker: a:mesh -c 1 -->\n```python\nprint(x)\n```\n"
        "<!-- not run: no such host -->\n```python\n1/0\n```\n```console\n$ true\n```\n```\nplain\n```\n"
        "```pycon\n>>> 1\n1\n```\n"
    )
    found = list(blocks(text))
    assert [(block.kind, block.what) for block in found] == [
        ("file", "a.py"),
        ("worker", "a:mesh -c 1"),
        ("session", ""),
        ("console", ""),
        ("pycon", ""),
    ]
    assert found[0].text == "x = 1\n"


def test_what_is_printed_is_compared() -> None:
    assert fits("one\ntwo 12\n", ["one", "two ..."])
    assert not fits("one\nthree\n", ["one", "two ..."])
    assert shell_steps("$ a \\\n  b\nout\n$ c\n") == [("a \\\n  b", ["out"]), ("c", [])]
