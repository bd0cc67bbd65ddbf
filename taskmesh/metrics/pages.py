"""The pages of a process: `/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence

from taskmesh.metrics.exposition import OPEN_METRICS, TEXT, Samples
from taskmesh.metrics.server import JSON, Answer, Request

LIVE, READY, METRICS = "/livez", "/readyz", "/metrics"
#: How a line begins that is no reason.
REMARK = "remark: "
#: For so long the metrics are passed on as they are: however many ask, they are put together once in that time.
METRICS_FRESH_S = 1.0

#: Returns what keeps a process from being alive, or ready; nothing if it is.
Reasons = Callable[[], Sequence[str]]


class Pages:
    """Answers requests."""

    def __init__(
        self,
        live: Reasons,
        ready: Reasons,
        own: Callable[[], Samples],
        mesh: Callable[[], Samples] = Samples,
        remarks: Reasons = tuple,
    ) -> None:
        """Prepare.

        Args:
            live: Returns why it should be started anew.
            ready: Returns why it does not work now.
            own: Returns values of this process.
            mesh: Returns those that it tells of the mesh, for which the nodes are asked.
            remarks: Returns what is to be known besides, and keeps it from nothing; `/readyz` says so.
        """
        self._reasons = {LIVE: live, READY: ready}
        self._own = own
        self._mesh = mesh
        self._remarks = remarks
        self._lock = threading.Lock()
        # by whether it is OpenMetrics and has the values of the mesh: until when it may be passed on
        self._told: dict[tuple[bool, bool], tuple[float, str]] = {}

    def __call__(self, request: Request) -> Answer:
        """Answer a request."""
        if request.path == METRICS:
            open_metrics = "application/openmetrics-text" in request.accept
            text = self._text(open_metrics=open_metrics, with_mesh="mesh=no" not in request.query.split("&"))
            return Answer(200, text, OPEN_METRICS if open_metrics else TEXT)
        reasons = self._reasons.get(request.path)
        if reasons is None:
            pages = ", ".join([*self._reasons, METRICS])
            return Answer(404, f"there is no {request.path[:100]}; there are {pages}\n")
        remarks = list(self._remarks()) if request.path == READY else []
        return _told(list(reasons()), remarks, as_json=request.wants_json)

    def _text(self, *, open_metrics: bool, with_mesh: bool) -> str:
        """Return the metrics; those who ask at the same time wait for each other, and are told the same."""
        with self._lock:
            until_s, text = self._told.get((open_metrics, with_mesh), (0.0, ""))
            if time.monotonic() >= until_s:
                found = self._own()
                if with_mesh:
                    found.update(self._mesh())
                text = found.text(open_metrics=open_metrics)
                self._told[open_metrics, with_mesh] = time.monotonic() + METRICS_FRESH_S, text
            return text


def _told(reasons: list[str], remarks: list[str], *, as_json: bool) -> Answer:
    status = 503 if reasons else 200
    if as_json:
        found = {"ok": not reasons, "reasons": reasons, "remarks": remarks}
        return Answer(status, json.dumps(found) + "\n", JSON)
    lines = [*(reasons or ["ok"]), *(f"{REMARK}{remark}" for remark in remarks)]
    return Answer(status, "\n".join(lines) + "\n")
