"""Rules of firing taken away, each of which the seeds of the tests must find."""

from __future__ import annotations

from taskmesh.queue.enqueue import FENCED
from taskmesh.scheduler import fire
from taskmesh.scheduler.definitions import Definitions
from taskmesh.scheduler.fire import Firing
from taskmesh.scheduler.overlapping import Overlapping
from tests.simulation.defects import Defect
from tests.simulation.patching import Rule
from tests.simulation.schedules import parties

_HISTORY = "schedules"

DEFECTS = [
    Defect(
        "the node obeys an old leader",
        _HISTORY,
        FENCED,
        (
            (
                "if token < known then return redis.error_reply('STALETOKEN ' .. string.format('%.0f', known)) end",
                "",
            ),
        ),
    ),
    Defect(
        "cursors pass over firings that are not recorded",
        _HISTORY,
        Rule(Firing, "_waiting"),
        (("names = {name for name, _ in self._pending}", "names = set()"),),
    ),
    Defect(
        "what could not be sent is not tried again",
        _HISTORY,
        Rule(Firing, "_keep_what_failed"),
        (("self._pending += [of_message[task_id] for task_id in failed]", "pass"),),
        found_by=19,
    ),
    Defect(
        "what begins is not written down before it is sent",
        _HISTORY,
        Rule(Firing, "_note_begun"),
        (("self._write_cursor(shard)", "pass"),),
        found_by=23,
    ),
    Defect(
        "what is not recorded yet does not count as running",
        _HISTORY,
        Rule(Overlapping, "decide"),
        (("begun = {name for name, _ in pending}", "begun = set()"),),
    ),
    Defect(
        "a leader does not look whether a message has ended",
        _HISTORY,
        Rule(Overlapping, "_ended"),
        (("return lambda name: name not in live", "return lambda name: True"),),
    ),
    Defect(
        "a firing a second late is missed",
        _HISTORY,
        Rule(fire, "to_run"),
        (("else now_ms - ON_TIME_MS", "else now_ms - 1000"),),
    ),
    Defect(
        "what was missed is run whatever the policy says",
        _HISTORY,
        Rule(fire, "to_run"),
        (("since_ms = oldest_ms if misfire == ALL else now_ms - ON_TIME_MS", "since_ms = oldest_ms"),),
    ),
    Defect(
        "what fell while a schedule was paused counts when it is resumed",
        _HISTORY,
        Rule(parties, "resume"),
        (("paused=False, since_ms=now_ms", "paused=False"),),
    ),
    Defect(
        "a new leader begins behind the present",
        _HISTORY,
        Rule(Definitions, "_take"),
        (
            (
                "max(self.cursors[shard_of(name)].seen_ms, new.schedule.since_ms)",
                "max(max(c.seen_ms for c in self.cursors.values()), new.schedule.since_ms - 60_000)",
            ),
        ),
    ),
]
