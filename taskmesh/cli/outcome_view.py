"""What came of a task, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskmesh.app import TaskMesh
from taskmesh.cli.output import as_iso, as_time, facts, visible
from taskmesh.cli.unfinished import Unfinished, unfinished
from taskmesh.client.attempts import Attempt
from taskmesh.client.result import AsyncResult
from taskmesh.codec.outcome import Outcome
from taskmesh.codec.pickling import decode_value
from taskmesh.errors import ResultExpired, TaskMeshError, TaskNotFound, TaskTimeout

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class View:
    """A message as it stands.

    Attributes:
        id: Its id.
        state: Its state; while it runs, what it shows in place of that (`update_state`).
        outcome: How it ended; None while it has not, or where that has been removed.
        value: What the task returned.
        unreadable: Why the value cannot be shown; empty if it can.
        is_late: Whether it had not ended when the time to wait was over.
        note: What else there is to say.
        attempts: Those that have ended.
        unfinished: Where it stands; None if it has ended.
    """

    id: str
    state: str
    outcome: Outcome | None
    value: Any = None
    unreadable: str = ""
    is_late: bool = False
    note: str = ""
    attempts: Sequence[Attempt] = ()
    unfinished: Unfinished | None = None

    @property
    def exit_code(self) -> int:
        """1 when it failed, or had not ended in time."""
        return 1 if self.is_late or self.state in ("FAILURE", "REVOKED", "EXPIRED", "DEAD") else 0


def view_of(mesh: TaskMesh, handle: AsyncResult[Any], wait_s: float | None) -> View:
    """Read a message, or wait for its end.

    Args:
        mesh: Its mesh.
        handle: On the message.
        wait_s: How long to wait; None to look only.

    Raises:
        TaskNotFound: Nothing is known of the id.
    """
    late = False
    if wait_s is not None:
        try:
            handle.get(wait_s, propagate=False)
        except TaskTimeout:
            late = True
        except ResultExpired:
            pass  # the state is still known, or told below that it is not
        except TaskNotFound:
            raise
        except TaskMeshError:
            if handle.outcome is None:
                raise
            # the value alone cannot be read here: told below
    state = handle.state
    outcome, attempts = handle.outcome, handle.attempts
    if outcome is None:
        note = (
            "" if not handle.expired else "its outcome has been removed: result_expires is over, or forget()"
        )
        where = None if handle.expired else unfinished(mesh, handle.id)
        return View(handle.id, state, None, is_late=late, note=note, attempts=attempts, unfinished=where)
    if outcome.value is None:
        return View(handle.id, state, outcome, attempts=attempts)
    try:
        value = decode_value(outcome.encoding, outcome.value, max_size=mesh.settings.max_result_size)
    except TaskMeshError as error:
        return View(handle.id, state, outcome, unreadable=str(error), attempts=attempts)
    return View(handle.id, state, outcome, value, attempts=attempts)


def as_document(view: View) -> dict[str, Any]:
    """Return a view for programs: the value itself where JSON can say it, else its `repr`."""
    document: dict[str, Any] = {"id": view.id, "state": view.state}
    outcome = view.outcome
    if outcome is not None:
        document |= {
            "worker": outcome.worker or None,
            "attempt": outcome.attempt,
            "started": as_iso(outcome.started_ms),
            "finished": as_iso(outcome.finished_ms),
        }
        if view.state == "SUCCESS":
            document |= _value(view)
        if outcome.reason:
            document["reason"] = outcome.reason
        if outcome.error is not None:
            document["error"] = {
                "type": outcome.error.type_name,
                "text": outcome.error.text,
                "traceback": outcome.error.traceback,
            }
    if view.unfinished is not None:
        document |= view.unfinished.as_json()
    if view.attempts:
        document["attempts"] = [_attempt(each) for each in view.attempts]
    if view.note:
        document["note"] = view.note
    return document


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "worker": attempt.worker or None,
        "started": attempt.started_at.isoformat() if attempt.started_at is not None else None,
        "finished": attempt.finished_at.isoformat() if attempt.finished_at is not None else None,
        "error": attempt.error,
        "text": attempt.text,
        "traceback": attempt.traceback,
    }


def _value(view: View) -> dict[str, Any]:
    if view.unreadable:
        return {"value": None, "value_is_repr": False, "unreadable": view.unreadable}
    try:
        json.dumps(view.value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return {"value": repr(view.value), "value_is_repr": True}
    return {"value": view.value, "value_is_repr": False}


def as_tables(view: View) -> list[RenderableType]:
    """Return a view for people."""
    outcome = view.outcome
    pairs: list[tuple[str, object]] = [("state", view.state)]
    parts: list[RenderableType] = []
    if outcome is not None:
        if view.state == "SUCCESS":
            pairs.append(("value", view.unreadable or repr(view.value)))
        if outcome.reason:
            pairs.append(("reason", outcome.reason))
        if outcome.error is not None:
            pairs.append(("error", f"{outcome.error.type_name}: {outcome.error.text}"))
            parts = ["", visible(outcome.error.traceback.rstrip())]
        if outcome.worker:
            pairs.append(("worker", outcome.worker))
        if outcome.started_ms:
            took_s = max(0, outcome.finished_ms - outcome.started_ms) / 1000
            pairs.append(("ran", f"{took_s:.3f} s, attempt {outcome.attempt}"))
        pairs.append(("finished", as_time(outcome.finished_ms)))
    if view.unfinished is not None:
        pairs += view.unfinished.as_pairs()
    # the one that the outcome is of is told above
    told = outcome.attempt if outcome is not None and outcome.started_ms else 0
    pairs += [(f"attempt {each.number}", _told(each)) for each in view.attempts if each.number != told]
    if view.note:
        pairs.append(("note", view.note))
    return [facts(f"task {view.id}", pairs), *parts]


def _told(attempt: Attempt) -> str:
    error = f"{attempt.error}: {attempt.text}" if attempt.error else "asked to be tried again"
    finished = (
        as_time(int(attempt.finished_at.timestamp() * 1000)) if attempt.finished_at is not None else "?"
    )
    return f"{finished} on {attempt.worker}: {error}"
