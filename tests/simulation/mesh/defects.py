"""The defect bank: one rule taken away each, which the checkers must find.

A checker that never complains proves nothing. Scripts are broken by replacing a text in them, callers by replacing one
in a function. The text must stand there exactly once: when a rule changes, its defects fail loudly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from taskmesh.core.script import Script
from taskmesh.queue import claim
from taskmesh.queue.claim import CLAIM
from taskmesh.queue.commit import COMMIT
from taskmesh.queue.enqueue import ENQUEUE, FENCED
from taskmesh.queue.manage import REVOKE
from taskmesh.queue.workers import WORKER
from taskmesh.replication import equalize, level, spread
from taskmesh.replication.fencing import Judge
from taskmesh.replication.level import DISCARD
from taskmesh.replication.pieces import APPLY, TAKE_PIECE
from taskmesh.replication.scripts import ACTIVATE, PROMOTE, PROMOTE_ANEW, PROMOTE_KEYS
from taskmesh.replication.view import View
from taskmesh.results.read import READ
from tests.simulation.mesh.directed import (
    what_a_copy_contradicts_is_remembered,
    what_clears_the_way_comes_again_when_the_lines_stand,
    what_is_late_by_hours_does_not_come_back,
    who_commits_again_after_a_change_has_the_caller_told,
    who_is_fenced_takes_nothing_of_the_view_before,
    who_may_have_forgotten_is_not_sure,
)
from tests.simulation.mesh.rates import Rates, draw
from tests.simulation.mesh.world import World
from tests.simulation.patching import Changes, Rule, in_place_of, patched


@dataclass(frozen=True)
class Defect:
    """One rule taken away.

    Attributes:
        name: What is wrong.
        right: The script or the function that is right; None if it is not in one of these.
        changes: Texts, and what stands in their place.
        rates: What runs are like, where it differs from what seeds draw: the trouble in which it must show.
        seeds: Within so many seeds it must be found.
        admits_all: Whether callers speak with any life of a server as if it were the one that was admitted.
        schedule: Shows it, where seeds do not, with these scripts in place of the right ones; else None.
    """

    name: str
    right: Script | Rule | None
    changes: Changes
    rates: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 300
    admits_all: bool = False
    schedule: Callable[[Mapping[str, Script]], None] | None = None

    def run(self, seed: int) -> None:
        """Run one seed, or the schedule; raises if something is found."""
        with self._in_place() as scripts:
            if self.schedule is not None:
                self.schedule(scripts)
                return
            world = World(seed, rates=self.rates_of(seed), scripts=scripts)
            world.network.admits_all = self.admits_all
            world.run()

    def rates_of(self, seed: int) -> Rates:
        """Return what a run is like."""
        return replace(draw(Random(seed)), **self.rates)

    @contextmanager
    def _in_place(self) -> Iterator[dict[str, Script]]:
        if self.right is None:
            yield {}
        elif isinstance(self.right, Script):
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
MOVES = {**THREE, "messages": 5, "change": 1.0, "faults": 6, "leaders": 2, "long_s": 1.0, "slow": 0.5}
LOSES = {
    **MOVES,
    "empty": 1.0,
    "older": 1.0,
    "restart": 0.5,
    "change": 0.3,
    "lost": 0.1,
    "reads": 3.0,
    "suspect": 0.5,
}
CUTS = {
    **MOVES,
    "partition": 2.0,
    "stop": 2.0,
    "faults": 8,
    "reads": 3.0,
    "lost": 0.1,
    "late": 0.1,
    "late_s": 1.0,
}
PIECES = {"piece_bytes": 60, "by_value": 0.0}

_OFF_LIVE = "    CALL('SREM', P .. 'L:' .. slot, unpack(ids))\n"
_ON_FINAL = "    CALL('SADD', P .. 'F:' .. slot, unpack(ids))\n"
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
        "a child is handed a message before enough copies know of that",
        ENQUEUE,
        (("  if HANDED then\n", "  if false then\n"),),
        LOSSY,
    ),
    Defect(
        "a child obeys a wake-up of a view that has gone by",
        Rule(claim, "handed_over"),
        ((" or found[1].epoch != epoch", ""),),
        {
            **CUTS,
            "slow": 0.0,
            "change": 3.0,
            "partition": 1.0,
            "stop": 1.0,
            "delay_s": 0.05,
            "lost": 0.0,
            "messages": 6,
        },
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
        (
            (
                "if known >= version and not misses then return 'o' end",
                "if known == version and not misses then return 'o' end",
            ),
        ),
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
        ((_OFF_LIVE + _ON_FINAL, _ON_FINAL),),
        THREE,
        20,
    ),
    Defect(
        "a backup does not keep the ids that are final",
        APPLY,
        ((_ON_FINAL, ""),),
        THREE,
        20,
    ),
    Defect(
        "a backup never forgets",
        APPLY,
        (("remove_in(minute_after(tonumber(ttl, 16) or 3600), ids) end", "end"),),
        THREE,
        20,
    ),
    Defect(
        "a repeated send is not completed",
        ENQUEUE,
        (
            ("    note(id, 'w')\n    if done == 1 then ", "    if done == 1 then note(id, 'w') "),
            ("        note(id, 'w')\n        if done ~= 0 then ", "        if done ~= 0 then note(id, 'w') "),
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
    Defect(
        "a claim takes what a copy says, whoever leads its slot",
        CLAIM,
        (("if found[i] and not leads(", "if false and not leads("),),
        MOVES,
    ),
    Defect(
        "claims of two views give the same versions",
        CLAIM,
        (("  FLOOR = digits .. '0000'", "  FLOOR = '00000000'"),),
        CUTS,
    ),
    Defect(
        "a slot goes on though one node too few is fenced",
        Rule(View, "fences_needed"),
        (("row - self.copies_needed(slot) + 1", "row - self.copies_needed(slot)"),),
        CUTS,
    ),
    Defect(
        "a backup takes changes of any view",
        APPLY,
        (("if epoch ~= EPOCH then return", "if false then return"),),
        seeds=1,
        schedule=who_is_fenced_takes_nothing_of_the_view_before,
    ),
    Defect("a server that was started anew counts as what it was", None, (), LOSES, admits_all=True),
    Defect(
        "whoever answers is believed to have forgotten nothing",
        Rule(Judge, "_sources_of"),
        (("_run_id(before.member(node)) == run_ids[node]", "True"),),
        seeds=1,
        schedule=who_may_have_forgotten_is_not_sure,
    ),
    Defect(
        "the oldest of several copies is chosen",
        Rule(equalize, "_newest"),
        (("mark > newest[task_id][0]", "mark < newest[task_id][0]"),),
        CUTS,
    ),
    Defect(
        "what only one of those has who go on is not copied",
        Rule(equalize, "_level"),
        (("if has.get(each) != mark]", "if False]"),),
        CUTS,
    ),
    Defect(
        "a node that begins to lead forgets what is delayed",
        PROMOTE,
        (("write_down(P .. 'd', delayed)\n", ""),),
        {**MOVES, "delayed": 0.6},
    ),
    Defect(
        "a node that begins to lead forgets what runs",
        PROMOTE,
        (("      runs(id, rec)\n", ""),),
        MOVES,
    ),
    Defect(
        "a node that begins to lead forgets what waits in line",
        PROMOTE,
        (("if state == 'P' then", "if state == 'none' then"),),
        {**MOVES, "workers": 1, "slow": 1.0},
    ),
    Defect(
        "what forgets lines for a promotion does so when they stand again",
        PROMOTE_ANEW,
        (("if is_late() then return 0 end\n", ""),),
        seeds=1,
        schedule=what_clears_the_way_comes_again_when_the_lines_stand,
    ),
    Defect(
        "what forgets keys for a promotion does so when they are held again",
        PROMOTE_KEYS,
        (("if is_late() then return '0' end\n", ""),),
        seeds=1,
        schedule=what_clears_the_way_comes_again_when_the_lines_stand,
    ),
    Defect(
        "a node goes back to an older view",
        ACTIVATE,
        (("if number_of(KNOWN) > number_of(EPOCH) then return", "if false then return"),),
        CUTS,
    ),
    Defect(
        "what a backup has that never counted stays",
        DISCARD,
        (("    CALL('UNLINK', key)\n", ""),),
        {**CUTS, "lost": 0.2},
        400,
    ),
    Defect(
        "what is over for hours stays",
        WORKER,
        (("      CALL('UNLINK', key)\n      forget_key(id)\n", "      forget_key(id)\n"),),
        seeds=21,
    ),
    Defect(
        "what may have been forgotten is taken from a copy that is hours late",
        APPLY,
        (("  elseif may_be_forgotten(new) then\n", "  elseif false then\n"),),
        seeds=1,
        schedule=what_is_late_by_hours_does_not_come_back,
    ),
    Defect(
        "what is over is forgotten whatever copies there are",
        WORKER,
        (("if not FLOOR then return true end", "if true then return true end"),),
        seeds=1,
        schedule=what_a_copy_contradicts_is_remembered,
    ),
    Defect(
        "who does not answer counts as level",
        Rule(level, "level"),
        (
            (
                "found.missed.append(slot)\n                        left",
                "found.compared.append(slot)\n                        left",
            ),
        ),
        seeds=1,
        schedule=what_a_copy_contradicts_is_remembered,
    ),
    Defect(
        "a commit that is known already is told nobody",
        COMMIT,
        (("again = rec and tell_again(rec) or again", "again = again"),),
        seeds=1,
        schedule=who_commits_again_after_a_change_has_the_caller_told,
    ),
    Defect(
        "a node takes firings of an older leader",
        FENCED,
        (
            (
                "if token < known then return redis.error_reply('STALETOKEN '",
                "if false then return redis.error_reply('STALETOKEN '",
            ),
        ),
        {**MOVES, "slots": 2},
        102,
    ),
    Defect(
        "a firing that is known is recorded anew",
        FENCED,
        (("elseif CALL('MSETNX', unpack(pairs_)) == 1 then", "elseif CALL('MSET', unpack(pairs_)) then"),),
        {**MOVES, "slots": 2},
        102,
    ),
    Defect(
        "a piece is put behind what has come, wherever it belongs",
        TAKE_PIECE,
        (("if from ~= has then return has end\n", ""),),
        {**LATE, **PIECES},
    ),
    Defect(
        "a piece of one version is put behind pieces of another",
        TAKE_PIECE,
        (("  drop_coming(id)\n  remove_in(", "  remove_in("),),
        # each retry makes another version of what is still coming
        {**LATE, **PIECES, "lost": 0.2, "retries": 1.0, "slow": 0.0},
        600,
    ),
    Defect(
        "a copy counts that did not arrive in all its pieces",
        Rule(spread._Copying, "take_brought"),
        (('if answer == b"o":', 'if answer != b"n":'),),
        {**LOSSY, **PIECES, "lost": 0.35},
    ),
)
