"""Settings of Celery that mean nothing here, each with what replaces it.

They are refused, because a setting that is silently ignored is a promise that is silently broken. Loaded
only when an unknown name turns up.
"""

from __future__ import annotations

_NO_ACKNOWLEDGEMENT = (
    "a message is always kept until its outcome is committed: "
    "there is no acknowledgement to place early or late"
)
_NO_VISIBILITY = (
    "nothing is redelivered by the clock: a worker holds its messages while its heartbeat moves (lease_ttl)"
)
_PICKLE = "arguments and results are pickled and signed; there is no serializer to choose (see key, key_file)"
_NODES = "give nodes=['redis://host:port'], or nothing for the embedded node"
_BROKER = (
    "messages and results are kept on nodes, nodes=['redis://host:port'], or on the embedded node; a RabbitMQ that you "
    "run anyway can tell workers which queue has work: broker='amqp://user:password@host:5672/vhost'"
)
_NODE_OPTIONS = "give them in the address of the node: nodes=['rediss://user:password@host:port']"
_COMPRESSION = "use compress_over: what is larger is compressed"
_QUEUES = "queues need no declaration: one exists as soon as a message is sent to it"
_PREFETCH = "how much a worker claims adapts to how long its tasks take"
SCHEDULES = (
    "schedules stand in the mesh, and a leader among the workers fires them: see mesh.schedule(), @mesh.cron() and "
    "`taskmesh schedule`"
)
_LOGGING = (
    "use log_level or `taskmesh worker -l LEVEL`; the rest belongs to Python's logging: set it up in the app's module "
    "and a worker leaves it alone, and put taskmesh.TaskFilter on a handler to have %(task_id)s and %(task_name)s"
)
_IMPORTS = "use include, or mesh.autodiscover_tasks([...])"
EVENTS = "nothing is to be switched on; `taskmesh top`, `events` and mesh.events() follow what happens"
_PUBLISH = "a send is repeated under the same id until send_timeout"
_POOL = (
    "`taskmesh worker --pool process|thread|async -c N` says how tasks run side by side; process is prefork"
)
_CRASHES = "use max_crashes: a message whose worker process died this many times becomes a dead letter"
STATES = "every state is recorded: AsyncResult.state"

REPLACED_BY: dict[str, str] = {
    "accept_content": _PICKLE,
    "acks_late": _NO_ACKNOWLEDGEMENT,
    "always_eager": "use eager",
    "backend": _NODES,
    "beat_cron_starting_deadline": SCHEDULES,
    "beat_max_loop_interval": SCHEDULES,
    "beat_schedule": SCHEDULES,
    "beat_schedule_filename": SCHEDULES,
    "beat_scheduler": SCHEDULES,
    "beat_sync_every": SCHEDULES,
    "broker_connection_max_retries": "a worker reconnects by itself, without end; see startup_timeout for its start",
    "broker_connection_retry": "a worker reconnects by itself",
    "broker_connection_retry_on_startup": "a worker waits for its node, startup_timeout at most if that is given",
    "broker_connection_timeout": "use connect_timeout",
    "broker_heartbeat": "the connection to a broker has one by itself; what a worker holds is kept by lease_ttl",
    "broker_login_method": "give it in the address: broker='amqp://user:password@host/vhost?login_method=PLAIN'",
    "broker_pool_limit": "a process needs one connection to a node, however many threads it has",
    "broker_read_url": _BROKER,
    "broker_transport": _BROKER,
    "broker_transport_options": "give them in addresses: nodes=['rediss://user:password@host:port'], broker='amqps://…?name=value'",
    "broker_url": _BROKER,
    "broker_use_ssl": "give nodes=['rediss://host:port'], broker='amqps://host'",
    "broker_write_url": _BROKER,
    "control_queue_expires": EVENTS,
    "control_queue_ttl": EVENTS,
    "database_url": _NODES,
    "default_exchange": _QUEUES,
    "default_routing_key": "use default_queue",
    "enable_utc": "every time is UTC; there is nothing to enable",
    "event_queue_expires": EVENTS,
    "event_queue_ttl": EVENTS,
    "event_serializer": EVENTS,
    "ignore_result": "give it to the task, @mesh.task(ignore_result=True), or to the call",
    "imports": _IMPORTS,
    "main": "the name is the first argument: TaskMesh('shop')",
    "prefetch_multiplier": _PREFETCH,
    "redis_backend_use_ssl": "give nodes=['rediss://host:port']",
    "redis_max_connections": "a process needs one connection to a node, however many threads it has",
    "redis_retry_on_timeout": _PUBLISH,
    "redis_socket_connect_timeout": "use connect_timeout",
    "redis_socket_timeout": "use send_timeout",
    "reject_on_worker_lost": _CRASHES,
    "result_accept_content": _PICKLE,
    "result_backend": _NODES,
    "result_backend_always_retry": _PUBLISH,
    "result_backend_transport_options": _NODE_OPTIONS,
    "result_chord_retry_interval": "this version has no chords",
    "result_chord_join_timeout": "this version has no chords",
    "result_compression": _COMPRESSION,
    "result_extended": STATES,
    "result_persistent": "use durability",
    "result_serializer": _PICKLE,
    "security_certificate": "use key or key_file: everything is signed with one",
    "security_key": "use key or key_file: everything is signed with one",
    "set_as_current": "a task is made of its mesh, @mesh.task: there is no current app",
    "task_acks_late": _NO_ACKNOWLEDGEMENT,
    "task_acks_on_failure_or_timeout": _NO_ACKNOWLEDGEMENT,
    "task_always_eager": "use eager",
    "task_annotations": "give each task its own options, @mesh.task(...)",
    "task_compression": _COMPRESSION,
    "task_create_missing_queues": _QUEUES,
    "task_default_delivery_mode": "use durability",
    "task_default_exchange": _QUEUES,
    "task_default_priority": "give it to the task, @mesh.task(priority=...), or to the call; 4 if nobody does",
    "task_default_queue": "use default_queue",
    "task_default_rate_limit": "give it to the task, @mesh.task(rate_limit=...); it holds for all workers together",
    "task_default_routing_key": "use default_queue",
    "task_eager_propagates": "AsyncResult.get() raises the task's exception, with eager as without",
    "task_ignore_result": "give it to the task, @mesh.task(ignore_result=True), or to the call",
    "task_protocol": "there is one message format, and it carries its version",
    "task_publish_retry": _PUBLISH,
    "task_publish_retry_policy": _PUBLISH,
    "task_queue_max_priority": "every queue has the priorities 0 to 9; higher is sooner",
    "task_queues": _QUEUES,
    "task_reject_on_worker_lost": _CRASHES,
    "task_remote_tracebacks": "an exception always comes home with the worker's traceback",
    "task_result_expires": "use result_expires",
    "task_routes": "use routes, a table of patterns of task names and their queues",
    "task_send_sent_event": EVENTS,
    "task_serializer": _PICKLE,
    "task_soft_time_limit": "use soft_time_limit, here, for a task or for a call",
    "task_store_eager_result": "an eager result is held by its AsyncResult only",
    "task_store_errors_even_if_ignored": "a failure is counted; without ignore_result it is kept as well",
    "task_time_limit": "use time_limit, here, for a task or for a call",
    "task_track_started": STATES,
    "task_inherit_parent_priority": "give it to the call, apply_async(priority=...)",
    "timezone": "every time is UTC; a schedule names its own zone: crontab(..., tz='Europe/Paris')",
    "visibility_timeout": _NO_VISIBILITY,
    "worker_autoscaler": "there is one: `taskmesh worker --autoscale MAX,MIN`",
    "worker_cancel_long_running_tasks_on_connection_loss": _NO_VISIBILITY,
    "worker_concurrency": "use concurrency, or `taskmesh worker -c N`",
    "worker_consumer": _POOL,
    "worker_deduplicate_successful_tasks": "an outcome is committed once, whatever happens to its worker",
    "worker_direct": "use `taskmesh worker -Q QUEUE` with a queue of its own",
    "worker_disable_prefetch": _PREFETCH,
    "worker_enable_remote_control": "workers heed signed orders: `taskmesh workers --stop`, `taskmesh revoke`",
    "worker_hijack_root_logger": "use configure_logging: what the app sets up is left alone anyway",
    "worker_log_color": _LOGGING,
    "worker_log_format": _LOGGING,
    "worker_lost_wait": "a dead worker process is noticed at once, a dead machine after lease_ttl",
    "worker_max_memory_per_child": "use max_memory_per_child, with a unit: '200MB'; Celery's number is in KiB",
    "worker_max_tasks_per_child": "use max_tasks_per_child",
    "worker_pool": _POOL,
    "worker_pool_restarts": "send the worker SIGTERM and start it anew; for development there is --reload",
    "worker_prefetch_multiplier": _PREFETCH,
    "worker_redirect_stdouts": "what tasks print goes to the worker's own output",
    "worker_redirect_stdouts_level": "what tasks print goes to the worker's own output",
    "worker_send_task_events": EVENTS,
    "worker_soft_shutdown_timeout": "use grace",
    "worker_state_db": "what was revoked stands in its record; there is no file to keep",
    "worker_task_log_format": _LOGGING,
}

# Prefixes of the names that Celery used before version 4.
_OLD_PREFIXES = ("celery_", "celeryd_", "celerybeat_")


def replacement(name: str) -> str | None:
    """Return what replaces a setting of Celery here, or None if Celery has no such setting.

    Args:
        name: As it was written: `task_acks_late`, `CELERY_TASK_ACKS_LATE` or `CELERY_ACKS_LATE`.
    """
    word = name.lower()
    candidates = [word]
    for prefix in _OLD_PREFIXES:
        if word.startswith(prefix):
            rest = word.removeprefix(prefix)
            candidates = [rest, "task_" + rest, "worker_" + rest, "beat_" + rest]
    return next((REPLACED_BY[each] for each in candidates if each in REPLACED_BY), None)
