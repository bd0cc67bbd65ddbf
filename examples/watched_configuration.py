"""A small file that workers watch: change it, and within about a second they all go by it.

Run it: python examples/watched_configuration.py
"""

import threading
import time

from taskmesh import TaskMesh

mesh = TaskMesh("configured", embedded="private")
settings = {"greeting": "?"}


@mesh.on_child_start
def follow(worker) -> None:
    threading.Thread(target=follow_the_file, daemon=True).start()


def follow_the_file() -> None:
    for event in mesh.files.watch("config/greeting"):  # what it holds now comes first
        settings["greeting"] = event.file.text if event.file else "?"


@mesh.task
def greet(name: str) -> str:
    return f"{settings['greeting']}, {name}"


def greet_until(expected: str) -> str:
    while (said := greet.delay("ann").get(timeout=60)) != expected:
        time.sleep(0.1)
    return said


if __name__ == "__main__":
    made = mesh.files.write("config/greeting", "hello")
    with mesh.workers(1):
        print(greet_until("hello, ann"))
        # whoever changes it says which version he has read, so that no change of others is lost
        mesh.files.write("config/greeting", "good evening", if_version=made.version)
        print(greet_until("good evening, ann"))
    mesh.close()
