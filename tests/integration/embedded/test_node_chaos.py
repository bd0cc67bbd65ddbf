"""Server and guardian killed again and again while several processes use the node."""

from __future__ import annotations

import os
import random
import signal

import pytest

from taskmesh.nodes import embedded
from tests.integration.embedded.processes import ask, is_alive, python
from tests.support import wait_until

KILLS = 12

CLIENT = """
    import select, sys
    from taskmesh.nodes import embedded
    from taskmesh.nodes.embedded_resp import Connection

    acknowledged = newest = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        node = embedded.ensure_running("shop", timeout_s=120)
        try:
            connection = Connection(node.socket_path, 60.0)
            try:
                generation = int(connection.call("GET", "tm:shop:epoch")[:8], 16)
                assert generation >= newest, f"generation {generation} after {newest}"
                newest = generation
                for _ in range(50):
                    connection.call("INCR", "count")
                    acknowledged += 1
            finally:
                connection.close()
        except OSError:
            continue    # killed in the middle: find the next one
    print(acknowledged)
    """


@pytest.mark.slow
def test_what_was_acknowledged_is_there_and_generations_only_grow(state_root):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    clients = [python(CLIENT, stdin=-1) for _ in range(3)]
    try:
        for _ in range(KILLS):
            node = embedded.ensure_running("shop", timeout_s=120)
            victim = rng.choice([node.server_pid, node.guardian_pid])
            wait_until(lambda: int(ask_again("GET", "count") or b"0") > 0)
            if is_alive(victim):
                os.kill(victim, signal.SIGKILL)
            wait_until(lambda: not is_alive(victim))  # noqa: B023 - called at once
    finally:
        counts = [client.communicate("stop\n", timeout=120)[0] for client in clients]
    assert [client.returncode for client in clients] == [0] * len(clients)
    found = int(ask_again("GET", "count") or b"0")
    acknowledged = sum(int(count) for count in counts)
    # At most one increment of each client and kill was executed and not answered.
    assert acknowledged <= found <= acknowledged + KILLS * len(clients)
    assert embedded.ensure_running("shop").generation > 1


def ask_again(*words: str) -> bytes | None:
    """Ask a node that may be killed at any moment, until it has answered."""
    answers: list[object] = []

    def answered() -> bool:
        try:
            answers.append(ask(embedded.ensure_running("shop", timeout_s=120).socket_path, *words))
        except OSError:
            return False
        return True

    wait_until(answered)
    answer = answers[0]
    assert answer is None or isinstance(answer, bytes)
    return answer
