"""Whatever becomes of RabbitMQ under load: nothing accepted is lost, nothing ends twice, and no caller waits for it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from taskmesh.nodes.embedded import PrivateNode
from tests.faults.load import Load
from tests.faults.scale import scaled
from tests.faults.scene import Scene
from tests.rabbitmq import RabbitMQ

VHOST = "load"
#: So many runs come to their end between two faults, and during one.
RUNS = 25
#: A send that takes so long waited for the broker.
HANGS_S = 60.0


def kill(server: RabbitMQ, load: Load) -> None:
    """Kill it, have work be done without it, and start it again with its disk."""
    # a queue that is younger than five seconds is else not on its disk as a whole, and has no leader ever after
    server.do("[dets:sync(T) || T <- dets:all()], ok.")
    server.kill()
    load.ran(RUNS)
    server.start()


def alarm(server: RabbitMQ, load: Load) -> None:
    """Have it be short of memory: it reads nothing from who publishes."""
    with server.memory_alarm():
        load.ran(RUNS)
        began_s = time.monotonic()
        load.accepted(RUNS)
        assert time.monotonic() - began_s < HANGS_S, "sending waited for the broker"


def close_connections(server: RabbitMQ, load: Load) -> None:
    server.close_connections(VHOST)
    load.ran(RUNS)


def delete_queue(server: RabbitMQ, load: Load) -> None:
    server.delete_queue(VHOST, f"taskmesh.{load.scene.name}.default")
    load.ran(RUNS)


def delete_vhost(server: RabbitMQ, load: Load) -> None:
    server.delete_vhost(VHOST)
    load.ran(RUNS)
    server.add_vhost(VHOST)


#: The rest is for `make chaos`; tests of `integration` try each on a line of its own.
FEW = (kill, alarm)
ALL = (kill, alarm, close_connections, delete_vhost, kill, delete_vhost, alarm, close_connections)


def test_rabbitmq_is_harmed_under_load(
    make_scene: Callable[..., Scene], chaos_node: PrivateNode, own_rabbitmq: RabbitMQ, seed: int
) -> None:
    address = own_rabbitmq.add_vhost(VHOST)
    scene = make_scene(
        f"rabbit{seed}", f"unix://{chaos_node.socket_path}", lease_ttl=5.0, max_crashes=99, broker=address
    )
    scene.worker(2)
    harms = [*scaled(FEW, ALL)]
    random.Random(seed).shuffle(harms)
    with Load(scene, seed=seed) as load:
        for harm in harms:
            load.ran(RUNS)
            harm(own_rabbitmq, load)
        load.ran(RUNS)
        load.look()
    load.balance()


def test_a_queue_is_deleted_under_load(
    make_scene: Callable[..., Scene], chaos_node: PrivateNode, rabbitmq: RabbitMQ, vhost: str, seed: int
) -> None:
    """It is made again by whoever needs it next; connections that an operator closes are made anew."""
    scene = make_scene(
        f"rabbit{seed}", f"unix://{chaos_node.socket_path}", lease_ttl=5.0, broker=rabbitmq.url(vhost)
    )
    scene.worker(2)
    with Load(scene, seed=seed) as load:
        for _ in range(scaled(2, 20)):
            load.ran(RUNS)
            rabbitmq.delete_queue(vhost, f"taskmesh.{scene.name}.default")
            load.ran(RUNS)
            rabbitmq.close_connections(vhost)
        load.ran(RUNS)
        load.look()
    load.balance()
