"""Revoking messages: what waits ends at once, what runs is flagged, and ended by its worker if that is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from taskmesh.client.sender import slices
from taskmesh.codec.attempts import attempts_so_far
from taskmesh.codec.control import TERMINATE, TERMINATE_SIGNALS, Control, encode_control
from taskmesh.codec.outcome import Outcome, encode_outcome
from taskmesh.core.record import Record
from taskmesh.core.state import State
from taskmesh.core.steps import Steps
from taskmesh.errors import NodeFault, UsageError
from taskmesh.queue.control import give_orders
from taskmesh.queue.manage import revoke
from taskmesh.results.read import read

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.nodes.link import Link

T = TypeVar("T")

#: Messages revoked in one call of the script.
REVOKE_MAX = 500

ENDED, RUNS, UNKNOWN = "o", "T", "-"


def check_signal(signal: object) -> str:
    """Return the name of a signal without SIG, or raise `UsageError`."""
    name = signal.upper().removeprefix("SIG") if isinstance(signal, str) else ""
    if name not in TERMINATE_SIGNALS:
        raise UsageError(
            f"signal={signal!r}: expected one of {', '.join(TERMINATE_SIGNALS)}; whatever it is, a process that has "
            "not ended soon after is killed"
        )
    return name


def revoke_all(
    portal: Portal,
    task_ids: Iterable[str],
    *,
    terminate: bool = False,
    signal: str = "TERM",
    patience_s: float | None = None,
) -> dict[str, str]:
    """Revoke many messages.

    Args:
        portal: Of the mesh.
        task_ids: Ids.
        terminate: Whether to end those that run.
        signal: By which their processes are told.
        patience_s: How long that may take; None for `send_timeout`.

    Returns:
        For each id `ENDED` now, `RUNS` (flagged, and told to end), `UNKNOWN`, or the letter of its final state.

    Raises:
        UsageError: There is no such signal.
        NodeUnavailable: Some may not be revoked. Revoking them again is harmless.
    """
    name = check_signal(signal)
    until_s = time.monotonic() + (portal.link.patience_s if patience_s is None else patience_s)
    link = portal.link.reach(until_s - time.monotonic())
    verdicts: dict[str, str] = {}
    for some in slices(dict.fromkeys(task_ids), REVOKE_MAX):
        now_ms = link.clock.now_ms()
        records = _ask(link, until_s, partial(read, link.session, some))
        entries = [
            (
                task_id.encode(),
                b"",
                encode_outcome(
                    Outcome(
                        task_id,
                        "REVOKED",
                        finished_ms=now_ms,
                        worker=portal.client_name,
                        attempts=attempts_so_far(record, link.results, task_id),
                    ),
                    link.results,
                ),
            )
            for task_id, record in zip(some, records, strict=True)
        ]
        letters = _ask(link, until_s, partial(revoke, link.session, entries)).decode()
        if "!" in letters:
            raise NodeFault("a revoke without a version was refused for its version", text="!")
        verdicts.update(zip(some, letters, strict=True))
    if terminate:
        running = [task_id for task_id, letter in verdicts.items() if letter == RUNS]
        _terminate(portal, running, name, until_s)
    return verdicts


def _ask(link: Link, until_s: float, protocol: Callable[..., Steps[T]]) -> T:
    """Run one of several protocols that share their time."""
    return link.ask(lambda left_s: protocol(patience_s=left_s), max(0.0, until_s - time.monotonic()))


def _terminate(portal: Portal, task_ids: Sequence[str], signal: str, until_s: float) -> None:
    """Tell the workers that run messages to end those runs.

    They are flagged already, so none of them begins again: if the run that is found here is over when the order is
    read, so is the message.
    """
    link = portal.link
    runs: dict[str, list[tuple[str, str]]] = {}
    for some in slices(task_ids, REVOKE_MAX):
        found = _ask(link, until_s, partial(read, link.session, list(some)))
        for task_id, record in zip(some, found, strict=True):
            if isinstance(record, Record) and record.state is State.STARTED:
                runs.setdefault(record.token[20:36], []).append((task_id, record.token))
    for incarnation, those in runs.items():
        order = Control(
            portal.sender.new_id(),
            TERMINATE,
            arguments={"signal": signal, "runs": those},
            created_ms=link.clock.now_ms(),
            sender=portal.client_name,
        )
        wire = encode_control(order, link.controls)
        _ask(link, until_s, partial(give_orders, link.session, [incarnation.encode()], wire))
