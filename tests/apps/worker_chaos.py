"""The app that the workers of the tests of faults import; the test's settings stand in the environment."""

import os
import threading

from taskmesh import TaskMesh
from taskmesh.worker import concurrent_child, conversation, limits, loop_crew, open_files
from tests.apps import ledger_tasks, limited_tasks, worker_tasks

mesh = limited_tasks.register(worker_tasks.register(TaskMesh(os.environ["TASKMESH_TEST_MESH"])))


def newcomer(x: int) -> int:
    """Known to newer builds only."""
    return x


if os.environ.get("TASKMESH_TEST_NEW_BUILD"):
    mesh.task(newcomer)

if os.environ.get("TASKMESH_TEST_OLD_BUILD"):
    # of the time before there were books
    for _function in ledger_tasks.TASKS:
        del mesh.tasks[f"{_function.__module__}.{_function.__qualname__}"]

if os.environ.get("TASKMESH_TEST_SLOW_FORK"):
    # a child's first moments, made as long as a test likes: before it can heed any signal
    _folder = os.environ["TASKMESH_TEST_SLOW_FORK"]
    os.register_at_fork(after_in_child=lambda: worker_tasks.hold(_folder, "fork"))

if os.environ.get("TASKMESH_TEST_THREAD"):
    # what forbids forking: a thread that the import started
    threading.Thread(target=threading.Event().wait, name="of-the-app", daemon=True).start()

if os.environ.get("TASKMESH_TEST_FEW_THREADS"):
    # plain functions in async pools, as if hundreds ran already
    loop_crew.THREADS_MAX = int(os.environ["TASKMESH_TEST_FEW_THREADS"])

if os.environ.get("TASKMESH_TEST_GRACE_S"):
    # how long a run among many may take to heed that it is called off, or over its limit, before its process is ended
    concurrent_child.CALLED_OFF_GRACE_S = limits.CANCEL_GRACE_S = float(os.environ["TASKMESH_TEST_GRACE_S"])

if os.environ.get("TASKMESH_TEST_FILES_S"):
    # how long a child tries to connect that may open no file
    conversation.PATIENCE_S = float(os.environ["TASKMESH_TEST_FILES_S"])
    open_files.WITHOUT_S = conversation.PATIENCE_S / 2
