"""Of several processes one does the work: a leader of your own, and the next one when it dies.

Run it: python examples/15_own_leader.py
"""

import multiprocessing
import time

from taskmesh import TaskMesh


def candidate(url: str, name: str, told) -> None:
    mesh = TaskMesh("collectors", nodes=[url])
    election = mesh.election("collector", ttl=5, candidate=name)
    with election:  # waits until it leads
        told.put((name, election.token))
        while election.is_leader:  # false as soon as it cannot be relied on
            time.sleep(0.1)  # here it would collect


if __name__ == "__main__":
    mesh = TaskMesh("collectors", embedded="private")
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    url = mesh.address().url
    processes = {
        name: context.Process(target=candidate, args=(url, name, told), daemon=True)
        for name in ("ann", "bob", "cleo")
    }
    for process in processes.values():
        process.start()

    first, first_token = told.get(timeout=60)
    leader = mesh.election("collector").leader()
    print("one leads, and everybody sees who:", leader.candidate == first)
    processes[first].kill()
    second, second_token = told.get(timeout=60)
    print("it dies, and another one leads:", second != first)
    print("with a greater token:", second_token > first_token)

    for process in processes.values():
        process.kill()
        process.join()
    mesh.close()
