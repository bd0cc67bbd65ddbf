"""When a silent loop counts as blocked."""

from __future__ import annotations

from taskmesh.worker.loop_watch import was_stopped


def test_a_process_that_stood_still_did_not_block_its_loop() -> None:
    assert was_stopped(20.0, 0.1)
    assert not was_stopped(0.25, 0.0)
    assert not was_stopped(3.0, 2.9)  # code that kept the interpreter's lock and computed
