"""The pages of a process: `/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from taskmesh.metrics.exposition import OPEN_METRICS, TEXT, Samples
from taskmesh.metrics.server import JSON, Answer, Request

LIVE, READY, METRICS = "/livez", "/readyz", "/metrics"

#: Returns what keeps a process from being alive, or ready; nothing if it is.
Reasons = Callable[[], Sequence[str]]


class Pages:
    """Answers requests."""

    def __init__(self, live: Reasons, ready: Reasons, metrics: Callable[[], Samples]) -> None:
        """Prepare.

        Args:
            live: Returns why it should be started anew.
            ready: Returns why it does not work now.
            metrics: Returns values.
        """
        self._reasons = {LIVE: live, READY: ready}
        self._metrics = metrics

    def __call__(self, request: Request) -> Answer:
        """Answer a request."""
        if request.path == METRICS:
            open_metrics = "application/openmetrics-text" in request.accept
            text = self._metrics().text(open_metrics=open_metrics)
            return Answer(200, text, OPEN_METRICS if open_metrics else TEXT)
        reasons = self._reasons.get(request.path)
        if reasons is None:
            pages = ", ".join([*self._reasons, METRICS])
            return Answer(404, f"there is no {request.path[:100]}; there are {pages}\n")
        return _told(list(reasons()), as_json=request.wants_json)


def _told(reasons: list[str], *, as_json: bool) -> Answer:
    status = 503 if reasons else 200
    if as_json:
        return Answer(status, json.dumps({"ok": not reasons, "reasons": reasons}) + "\n", JSON)
    return Answer(status, "\n".join(reasons or ["ok"]) + "\n")
