"""`taskmesh events`, as a user follows it: lines and JSON while things happen, and clean ends."""

from __future__ import annotations

import json
import signal
import subprocess

from tests.e2e.cli.shell import TASKMESH, TIMEOUT_S, Shell
from tests.support import wait_until


def test_what_happens_is_shown_a_line_or_an_object_each(served: Shell):
    followed = "events", "--kind", "failed", "--limit", "1"
    lines, objects = served.start(*followed), served.start(*followed, "--json")

    def both_ended() -> bool:
        served.run("call", "app.fail", '"private words"')
        return lines.process.poll() is not None and objects.process.poll() is not None

    wait_until(both_ended, TIMEOUT_S)
    text, told = lines.ends(), objects.ends()
    assert (text.code, told.code) == (0, 0)
    assert "Ctrl-C ends it" in text.err
    (line,) = text.out.splitlines()
    assert "failed" in line
    assert "app.fail" in line
    assert line.endswith("ValueError")
    (event,) = [json.loads(each) for each in told.out.splitlines()]
    assert (event["kind"], event["task"], event["worker"]) == ("failed", "app.fail", "one")
    assert "private" not in text.out + told.out


def test_ctrl_c_ends_it_cleanly(served: Shell):
    done = served.start("events").until("Ctrl-C ends it").ends(signal.SIGINT)
    assert (done.code, done.out, done.err) == (0, "", "following mesh shop; Ctrl-C ends it\n")


def test_a_reader_that_has_gone_ends_it_cleanly(served: Shell):
    with subprocess.Popen(
        [*TASKMESH, "events", "--json"],
        cwd=served.folder,
        env=served.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as unread:
        try:
            assert unread.stdout is not None
            unread.stdout.close()

            def ended() -> bool:
                served.run("call", "app.add", "1", "2")
                return unread.poll() is not None

            wait_until(ended, TIMEOUT_S)
            assert unread.stderr is not None
            assert (unread.returncode, unread.stderr.read()) == (0, "")
        finally:
            unread.kill()
