"""What happens on several nodes, heard as one; a node that is lost is told as a gap, and the others go on."""

from __future__ import annotations

from taskmesh import TaskMesh
from tests.patience import wait_long_for_listeners
from tests.support import wait_until


def test_each_node_is_heard_and_one_that_is_lost_is_told(three_nodes, monkeypatch):
    wait_long_for_listeners(monkeypatch)
    mesh = TaskMesh("told", nodes=three_nodes.urls, key="s" * 40)

    @mesh.task(name="add")
    def add(x: int) -> int:
        return x

    try:
        with mesh.events(["sent", "gap"]) as events:
            sent = [add.delay(number) for number in range(24)]
            heard: list[str] = []

            def all_heard() -> bool:
                event = events.read(0.5)
                if event is not None and event.kind == "sent":
                    heard.append(event.id)
                return len(heard) == len(sent)

            wait_until(all_heard)
            assert sorted(heard) == sorted(one.id for one in sent)  # each once, wherever it was recorded
            three_nodes.kill(2)
            wait_until(lambda: (event := events.read(0.5)) is not None and event.kind == "gap")
    finally:
        mesh.close()
