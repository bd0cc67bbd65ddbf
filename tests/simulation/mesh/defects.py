"""The defect bank: one rule taken away each, which the checkers must find.

A checker that never complains proves nothing. Scripts are broken by replacing a text in them, callers by replacing one
in a function. The text must stand there exactly once: when a rule changes, its defects fail loudly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from taskmesh.core.script import Script
from taskmesh.queue.claim import CLAIM
from taskmesh.queue.commit import COMMIT
from taskmesh.queue.enqueue import ENQUEUE
from taskmesh.queue.manage import REVOKE
from taskmesh.replication import spread
from taskmesh.replication.spread import APPLY
from taskmesh.results.read import READ
from tests.simulation.mesh.rates import Rates, draw
from tests.simulation.mesh.world import World
from tests.simulation.patching import Changes, Rule, in_place_of, patched


@dataclass(frozen=True)
class Defect:
    """One rule taken away.

    Attributes:
        name: What is wrong.
        right: The script or the function that is right.
        changes: Texts, and what stands in their place.
        rates: What runs are like, where it differs from what seeds draw: the trouble in which it must show.
        seeds: Within so many seeds it must be found.
    """

    name: str
    right: Script | Rule
    changes: Changes
    rates: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 300

    def run(self, seed: int) -> None:
        """Run one seed; raises if something is found."""
        with self._in_place() as scripts:
            World(seed, rates=self.rates_of(seed), scripts=scripts).run()

    def rates_of(self, seed: int) -> Rates:
        """Return what a run is like."""
        return replace(draw(Random(seed)), **self.rates)

    @contextmanager
    def _in_place(self) -> Iterator[dict[str, Script]]:
        if isinstance(self.right, Script):
            yield {self.right.name: patched(self.right, *self.changes)}
        else:
            with in_place_of(self.right, *self.changes):
                yield {}


#: Kinds of trouble.
THREE = {"nodes": 3, "replicas": 3}
LOSSY = {**THREE, "messages": 4, "lost": 0.25, "late": 0.1, "late_s": 0.5, "delay_s": 0.05}
LATE = {
    **THREE,
    "messages": 4,
    "late": 0.4,
    "late_s": 3.0,
    "twice": 0.3,
    "delay_s": 0.05,
    "retries": 0.5,
    "suspect": 1.0,
    "faults": 5,
}
SUSPECTS = {**THREE, "messages": 4, "suspect": 1.0, "faults": 6, "slow": 0.7, "retries": 0.0}
READS = {**LOSSY, "reads": 4.0}

_HOLDER = "if rec and string.sub(rec, 2, 2) == 'T' and string.sub(rec, 3, 52) == token then"

DEFECTS = (
    Defect(
        "a change counts with one copy less",
        Rule(spread._Copying, "__init__"),
        (("view.copies_needed(entry.slot) - 1", "view.copies_needed(entry.slot) - 2"),),
        LOSSY,
    ),
    Defect(
        "a caller hears of a change whatever became of its copies",
        Rule(spread, "_replicate"),
        (("done.append(all(count <= 0 for count in", "done.append(all(True for count in"),),
        LOSSY,
    ),
    Defect(
        "a notice leaves before enough copies have what it tells",
        Rule(spread, "_replicate"),
        (("        if is_done\n", ""),),
        {**LOSSY, "lost": 0.4, "messages": 5},
    ),
    Defect(
        "a commit asks only that the record is claimed, by whomever",
        COMMIT,
        ((_HOLDER, "if rec and string.sub(rec, 2, 2) == 'T' then"),),
        SUSPECTS,
    ),
    Defect(
        "an older version takes the place of a newer one on a backup",
        APPLY,
        (("if known >= version then return 'o' end", "if known == version then return 'o' end"),),
        LATE,
    ),
    Defect(
        "a head is put on a copy on which it does not stand",
        APPLY,
        (("if known ~= base or is_final", "if is_final"),),
        {**LATE, "lost": 0.25, "retries": 1.0},
    ),
    Defect(
        "a backup does not take an id off its live ones when it is final",
        APPLY,
        (("    CALL('SREM', P .. 'L:' .. slot, id)\n", ""),),
        THREE,
        20,
    ),
    Defect(
        "a backup does not keep the ids that are final",
        APPLY,
        (("    CALL('SADD', P .. 'F:' .. slot, id)\n", ""),),
        THREE,
        20,
    ),
    Defect(
        "a backup never forgets",
        APPLY,
        (("    remove_in(minute_after(number(new, 87, 94)), {id})\n", ""),),
        THREE,
        20,
    ),
    Defect(
        "a repeated send is not completed",
        ENQUEUE,
        (
            (
                "    note(id_of(key), 'w')\n",
                "    if redis.call('EXISTS', key) == 0 then note(id_of(key), 'w') end\n",
            ),
            (
                "      if id then note(id, 'w') end\n    end\n",
                "      if id and redis.call('EXISTS', words[i]) == 0 then note(id, 'w') end\n    end\n",
            ),
        ),
        LOSSY,
    ),
    Defect(
        "a reader hears of what too few copies have",
        READ,
        (("SEEN[#SEEN + 1] = ", "local _ = "),),
        READS,
    ),
    Defect(
        "a caller is told that another message stands for its own, which too few copies have",
        ENQUEUE,
        (("  if SEEN then SEEN[#SEEN + 1] = id end\n", ""),),
        {**LOSSY, "keyed": 1.0, "messages": 6},
    ),
    Defect(
        "a revoke that finds a message ended does not see to its copies",
        REVOKE,
        (("      if SEEN then SEEN[#SEEN + 1] = id end\n", ""),),
        {**LOSSY, "revokes": 3.0},
    ),
    Defect(
        "a claim takes whatever a hint leads to",
        CLAIM,
        (
            (
                "if rec and string.sub(rec, 2, 2) == 'P' and string.sub(rec, 3, 10) == version then",
                "if rec then",
            ),
        ),
        SUSPECTS,
    ),
)
