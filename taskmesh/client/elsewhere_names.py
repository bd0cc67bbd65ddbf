"""Names of Celery's Python side that there are not here, each with what there is. Loaded only when one is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from taskmesh.config.elsewhere import EVENTS, SCHEDULES

WORKFLOWS = "this version has no workflows; send the next task at the end of this one"
_SIGNATURE = "use task.s(...), task.si(...) or task.signature(args, kwargs, **options)"
_FAMILY = "this version has no family of tasks; give facts of your own as headers"
_CALLBACKS = "wait with get() or `await result`, or use @mesh.on_success and its like"
_NODES = "there is one node for messages and results: mesh.settings.nodes"
_OWN_MESH = (
    "a task belongs to its mesh, @mesh.task; `mesh.adopt(other)` makes those of one mesh tasks of another"
)
_CONTROL = (
    "use mesh.inspect(), mesh.stop_workers(), mesh.pause_queue(), mesh.result(id).revoke(terminate=True), or "
    "`taskmesh purge`"
)

#: Of `from celery import ...`.
OF_THE_PACKAGE: Mapping[str, str] = {
    "Celery": "use TaskMesh",
    "GroupResult": "use ResultSet",
    "bugreport": "use `taskmesh doctor`",
    "chain": WORKFLOWS,
    "chord": WORKFLOWS,
    "chunks": "use task.starmap, which sends many in few round trips",
    "current_app": "import the mesh from the module that makes it",
    "group": "use task.starmap, or `with mesh.batch()`; " + WORKFLOWS,
    "maybe_signature": _SIGNATURE,
    "shared_task": _OWN_MESH,
    "signals": "use @mesh.before_task, @mesh.on_success, @mesh.on_worker_start and their like",
    "signature": _SIGNATURE,
    "states": "use State",
    "subtask": _SIGNATURE,
    "uuid": "use uuid.uuid4() of Python; an id is made for each call anyway",
}
OF_MESHES: Mapping[str, str] = {
    "AsyncResult": "use mesh.result(id)",
    "GroupResult": "use ResultSet([mesh.result(id) for id in ids])",
    "add_periodic_task": SCHEDULES,
    "amqp": "queues need no declaration: one exists as soon as a message is sent to it",
    "backend": _NODES,
    "broker_connection": _NODES,
    "conf": "use mesh.settings to read; settings are given to TaskMesh(...), TASKMESH_* or taskmesh.toml",
    "config_from_envvar": "every TASKMESH_* variable is read by itself",
    "config_from_object": "settings are given to TaskMesh(...), TASKMESH_* or taskmesh.toml",
    "connection": _NODES,
    "connection_for_read": _NODES,
    "connection_for_write": _NODES,
    "control": _CONTROL,
    "current_task": "use taskmesh.current_task()",
    "current_worker_task": "use taskmesh.current_task()",
    "finalize": "a task is made at once; there is nothing to finalize",
    "gen_task_name": "give the task its name, @mesh.task(name=...)",
    "loader": "use include, a setting, or mesh.autodiscover_tasks",
    "log": "use taskmesh.get_task_logger, and configure_logging, a setting",
    "main": "use mesh.name",
    "on_after_configure": "do it where the mesh is made, or in @mesh.on_worker_start",
    "on_after_finalize": "do it where the mesh is made, or in @mesh.on_worker_start",
    "pool": _NODES,
    "producer_pool": _NODES,
    "set_as_current": _OWN_MESH,
    "set_current": _OWN_MESH,
    "set_default": _OWN_MESH,
    "signature": _SIGNATURE,
    "start": "use mesh.run_worker(), or `taskmesh worker`",
    "worker_main": "use mesh.run_worker(), or `taskmesh worker`",
}
OF_TASKS: Mapping[str, str] = {
    "AsyncResult": "use task.mesh.result(id)",
    "add_to_chord": WORKFLOWS,
    "add_trail": _FAMILY,
    "app": "use task.mesh",
    "backend": _NODES,
    "chunks": "use task.starmap, which sends many in few round trips",
    "replace": WORKFLOWS,
    "send_event": EVENTS,
    "send_events": EVENTS,
    "signature_from_request": WORKFLOWS,
    "subtask": _SIGNATURE,
    "subtask_from_request": WORKFLOWS,
}
OF_RESULTS: Mapping[str, str] = {
    "app": "a handle belongs to the mesh that made it",
    "as_list": _FAMILY,
    "as_tuple": "keep result.id; mesh.result(id) is the handle again",
    "backend": _NODES,
    "build_graph": WORKFLOWS,
    "children": _FAMILY,
    "collect": _FAMILY,
    "date_done": "use result.finished_at",
    "get_leaf": _FAMILY,
    "graph": WORKFLOWS,
    "iterdeps": _FAMILY,
    "maybe_reraise": "use result.get()",
    "maybe_throw": "use result.get()",
    "name": "use result.task",
    "on_ready": _CALLBACKS,
    "parent": _FAMILY,
    "queue": "use `taskmesh result ID`",
    "then": _CALLBACKS,
    "throw": "use result.get()",
    "wait": "use result.get()",
}
OF_GET: Mapping[str, str] = {
    "callback": _CALLBACKS,
    "disable_sync_subtasks": "leave it out: a task may wait for another, and its worker warns of it once",
    "follow_parents": _FAMILY,
    "interval": "leave it out: nothing is polled, a result is told when it is there",
    "no_ack": "leave it out: an outcome stays on the node, and may be read again",
    "on_interval": "leave it out: nothing is polled; give a timeout, and call get() again",
    "on_message": "use result.progress",
}
