"""Options of Celery's tasks and calls that mean nothing here, each with what replaces it.

They are refused, because an option that is silently ignored is a promise that is silently broken. Loaded
only when an unknown name turns up.
"""

from __future__ import annotations

from collections.abc import Mapping

from taskmesh.client.elsewhere_names import WORKFLOWS
from taskmesh.config.elsewhere import EVENTS, STATES

_KEPT = "a message is always kept until its outcome is committed; a task that must not run twice has at_most_once=True"
_PICKLE = "arguments and results are pickled and signed; there is no serializer to choose"
_COMPRESSION = "what is larger than compress_over, a setting of the mesh, is compressed"
_QUEUE = "use queue; a queue needs no declaration"
_FAMILY = "this version has no family of tasks; give facts of your own as headers"
_PUBLISH = "a send is repeated under the same id until send_timeout, a setting of the mesh"
_NODES = "there is one node for messages and results, a setting of the mesh: nodes=[...]"

OF_CALLS: Mapping[str, str] = {
    "add_to_parent": _FAMILY,
    "app": "a task belongs to its mesh; `mesh.adopt(other)` makes it one of another",
    "backend": _NODES,
    "chain": WORKFLOWS,
    "chord": WORKFLOWS,
    "compression": _COMPRESSION,
    "connection": _NODES,
    "correlation_id": "use task_id",
    "delivery_mode": "use durability, a setting of the mesh",
    "exchange": _QUEUE,
    "exchange_type": _QUEUE,
    "group_id": _FAMILY,
    "ignore_errors": "use get(propagate=False), which returns the exception",
    "link": WORKFLOWS,
    "link_error": f"{WORKFLOWS}, or use @mesh.on_failure",
    "parent_id": _FAMILY,
    "producer": _NODES,
    "publisher": _NODES,
    "reply_to": _NODES,
    "retry": _PUBLISH,
    "retry_policy": _PUBLISH,
    "root_id": _FAMILY,
    "router": "use routes, a setting of the mesh",
    "routing_key": _QUEUE,
    "serializer": _PICKLE,
    "shadow": "give the task its name, @mesh.task(name=...), or the call headers",
    "stamped_headers": "use headers",
}

OF_TASKS: Mapping[str, str] = {
    **OF_CALLS,
    "abstract": "derive from BaseTask; a class is a task once it is registered",
    "acks_late": _KEPT,
    "acks_on_failure_or_timeout": _KEPT,
    "after_return": "define it in a class and give that as base=, or use @mesh.after_task",
    "before_start": "define it in a class and give that as base=, or use @mesh.before_task",
    "filter": "decorate the function itself",
    "lazy": "a task is made at once",
    "on_failure": "define it in a class and give that as base=, or use @mesh.on_failure",
    "on_retry": "define it in a class and give that as base=, or use @mesh.on_retry",
    "on_success": "define it in a class and give that as base=, or use @mesh.on_success",
    "pydantic": "annotations are not looked at: let the function read its arguments itself",
    "reject_on_worker_lost": f"{_KEPT}; after max_crashes, a setting of the mesh, it becomes a dead letter",
    "resultrepr_maxsize": "logs do not show results",
    "retry_kwargs": "give max_retries and default_retry_delay, or retry_backoff, to the task beside autoretry_for",
    "send_events": EVENTS,
    "shared": "a task belongs to its mesh; `mesh.adopt(other)` makes it one of another",
    "store_errors_even_if_ignored": "a failure is counted; without ignore_result it is kept as well",
    "track_started": STATES,
    "trail": _FAMILY,
}
