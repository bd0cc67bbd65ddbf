"""The defect bank: wrong versions of the scripts and of a few functions, each of which the suite must find.

A checker that never complains proves nothing. Each defect is one rule taken away, by replacing a text in the script
as it is sent to the node, or in the function. The text must stand there exactly once: when a rule changes, its
defects fail loudly instead of silently testing nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from taskmesh.balancing import balance
from taskmesh.balancing.balance import Balance
from taskmesh.balancing.strategy import Strategy
from taskmesh.core.script import Script
from taskmesh.queue.backlog import BACKLOG
from taskmesh.queue.claim import CLAIM, RECALL
from taskmesh.queue.commit import COMMIT
from taskmesh.queue.control import ORDER
from taskmesh.queue.enqueue import ENQUEUE
from taskmesh.queue.expire import EXPIRED
from taskmesh.queue.manage import REVOKE, UNLIST
from taskmesh.queue.pause import PAUSE
from taskmesh.queue.rate import RATE
from taskmesh.queue.telling import TELLING
from taskmesh.queue.ticket import TICKET
from taskmesh.queue.workers import REAP, WORKER
from tests.simulation.child import Child
from tests.simulation.patching import Changes, Rule, in_place_of, patched


@dataclass(frozen=True, slots=True)
class Defect:
    """One rule taken away.

    Attributes:
        name: What is wrong.
        history: In which trouble it must show.
        right: The script or the function that is right.
        changes: Texts, and what stands in their place.
        seeds: Within so many seeds of the history it must be found.
        found_by: The seed to begin with, where those before it find nothing, or take long to; it may be beyond `seeds`.
    """

    name: str
    history: str
    right: Script | Rule
    changes: Changes
    seeds: int = 110
    found_by: int = 0

    def in_order(self, seeds: int) -> list[int]:
        """Return so many seeds: the one that is known to find it, and then all others."""
        return [self.found_by, *(seed for seed in range(seeds) if seed != self.found_by)]

    @contextmanager
    def in_place(self) -> Iterator[dict[str, Script]]:
        """Put the wrong in place of the right; the scripts to run are given, by name."""
        if isinstance(self.right, Script):
            yield {self.right.name: patched(self.right, *self.changes)}
        else:
            with in_place_of(self.right, *self.changes):
                yield {}


DEFECTS = (
    Defect(
        "a commit compares the version only, not the whole token",
        "older_disks",
        COMMIT,
        (
            (
                "if rec and string.sub(rec, 2, 2) == 'T' and string.sub(rec, 3, 52) == token then",
                "if rec and string.sub(rec, 2, 10) == 'T' .. string.sub(token, 1, 8) then",
            ),
        ),
    ),
    Defect(
        "a commit asks only that the record is claimed, by whomever",
        "lost_leases",
        COMMIT,
        (
            (
                "if rec and string.sub(rec, 2, 2) == 'T' and string.sub(rec, 3, 52) == token then",
                "if rec and string.sub(rec, 2, 2) == 'T' then",
            ),
        ),
    ),
    Defect(
        "a commit counts again on a record that is final",
        "lost_replies",
        COMMIT,
        (
            (
                "if rec and string.sub(rec, 2, 2) == 'T' and string.sub(rec, 3, 52) == token then",
                "if rec and string.sub(rec, 11, 52) == string.sub(token, 9, 50) then",
            ),
        ),
    ),
    Defect(
        "a claim does not check the state behind a hint",
        "revoked",
        CLAIM,
        (
            (
                "if rec and string.sub(rec, 2, 2) == 'P' and string.sub(rec, 3, 10) == version then",
                "if rec then",
            ),
        ),
    ),
    Defect(
        "a repeated claim claims again",
        "lost_replies",
        CLAIM,
        (("if known[2] == seq then", "if false then"),),
    ),
    Defect(
        "a late claim is not told from a new one",
        "lost_replies",
        CLAIM,
        (("tonumber(seq, 16) < tonumber(known[2], 16)", "false"),),
    ),
    Defect(
        "a worker that was declared dead may still claim",
        "lost_leases",
        CLAIM,
        (("if known[1] ~= 'live' then", "if not known[1] then"),),
    ),
    Defect(
        "a claim at an older epoch is served",
        "older_disks",
        CLAIM,
        (("if epoch ~= EPOCH then", "if not epoch then"),),
    ),
    Defect(
        "a commit at an older epoch is served",
        "older_disks",
        COMMIT,
        (("if epoch ~= EPOCH then", "if not epoch then"),),
    ),
    Defect(
        "a claim notes only the first of its messages as held",
        "recalls",
        CLAIM,
        (("CALL('HSET', run, seq, table.concat(ids, '\\n'))", "CALL('HSET', run, seq, ids[1])"),),
    ),
    Defect(
        "a suspect is claimed together with others",
        "lost_leases",
        CLAIM,
        (("local singly = string.find('4567cdef', string.sub(rec, 62, 62), 1, true)", "local singly = nil"),),
    ),
    Defect(
        "a recall drops what is kept from the holder's index",
        "recalls",
        RECALL,
        (("if #kept == 0 then", "if true then"),),
    ),
    Defect(
        "a recall takes back one message too many",
        "recalls",
        RECALL,
        (("if i <= position then", "if i < position then"),),
    ),
    Defect(
        "a crash is not counted",
        "crashes",
        REAP,
        (("tonumber(string.sub(rec, 59, 60), 16) + 1", "tonumber(string.sub(rec, 59, 60), 16)"),),
    ),
    Defect(
        "a dead letter goes back in line",
        "crashes",
        REAP,
        (("if crashed and outcome ~= '' then", "if false then"),),
    ),
    Defect(
        "a function is let go of twice",
        "functions",
        COMMIT,
        (
            (
                "CALL('HINCRBY', P .. 'fnref', hash, -1) <= 0 then\n    local minute",
                "CALL('HINCRBY', P .. 'fnref', hash, -2) <= 0 then\n    local minute",
            ),
        ),
    ),
    Defect(
        "of those that are to be removed together only the first is",
        "crashes",
        WORKER,
        (("string.gmatch(groups[i], '[^\\n]+')", "string.gmatch(groups[i], '^[^\\n]+')"),),
    ),
    Defect(
        "a message sent again is recorded again",
        "lost_replies",
        ENQUEUE,
        (("CALL('MSETNX', unpack(pairs_)) == 1", "CALL('MSET', unpack(pairs_)).ok"),),
    ),
    Defect(
        "a message that is handed over is not noted as held",
        "lost_replies",
        ENQUEUE,
        (("  CALL('HSET', P .. 'run:' .. holder, seq, id)\n", ""),),
    ),
    Defect(
        "a hand-over does not count as the child's claim",
        "lost_replies",
        ENQUEUE,
        (
            (
                "  CALL('HSET', P .. 'w:' .. string.sub(holder, 1, 16), 's' .. string.sub(holder, 17), seq)\n",
                "",
            ),
        ),
    ),
    Defect(
        "a revoke ends what runs",
        "revoked",
        REVOKE,
        (("elseif state == 'T' then", "elseif state == '-' then"),),
    ),
    Defect(
        "a message expires before its time",
        "revoked",
        EXPIRED,
        (("'-inf', NOW, 'LIMIT'", "'-inf', NOW + 2000, 'LIMIT'"),),
    ),
    Defect(
        "what has ended is still to expire",
        "revoked",
        COMMIT,
        (("    if expiring then CALL('ZREM', P .. 'e', unpack(ids)) end\n", ""),),
    ),
    Defect(
        "a claim takes from a paused queue",
        "paused_queues",
        CLAIM,
        (("if not paused or CALL('SISMEMBER', P .. 'paused', ARGV[i]) == 0 then", "if true then"),),
    ),
    Defect(
        "who is idle on a paused queue is handed its messages",
        "paused_queues",
        PAUSE,
        (("  CALL('UNLINK', idle)\n", ""),),
    ),
    Defect(
        "who becomes idle on a paused queue is handed its messages",
        "paused_queues",
        CLAIM,
        (("and 'pidle:' or 'idle:'", "and 'idle:' or 'idle:'"),),
    ),
    Defect(
        "a retry is not counted",
        "retries",
        COMMIT,
        (
            (
                "(tonumber(string.sub(rec, 57, 58), 16) or 0) + 1)",
                "(tonumber(string.sub(rec, 57, 58), 16) or 0))",
            ),
        ),
    ),
    Defect(
        "a retry that goes elsewhere stays in its queue",
        "retries",
        COMMIT,
        (("whole = string.sub(out, 22, 23) .. string.sub(whole, 3, 6) .. queue", "local _ = queue"),),
    ),
    Defect(
        "a retry with another priority keeps that of before",
        "retries",
        COMMIT,
        (("if priority == '-' then priority", "if true then priority"),),
    ),
    Defect(
        "a second retry keeps the history of the first in its envelope",
        "retries",
        COMMIT,
        (
            (
                "string.sub(rec, names.stop + 1 + (tonumber(string.sub(rec, 95, 102), 16) or 0))",
                "string.sub(rec, names.stop + 1)",
            ),
        ),
    ),
    Defect(
        "a retry is due before its time",
        "retries",
        CLAIM,
        (("'-inf', NOW, 'LIMIT'", "'-inf', NOW + 250, 'LIMIT'"),),
    ),
    Defect(
        "what was put off is taken for parked",
        "retries",
        CLAIM,
        (("local moment = string.rep('0', 12)", "local moment = string.sub(rec, 75, 86)"),),
    ),
    Defect(
        "what was put back in line stands there twice",
        "retries",
        COMMIT,
        (
            (
                "back[#back + 1] = {id, rec}",
                "back[#back + 1] = {id, rec} if op == 'Q' then released[#released + 1] = {id, rec} end",
            ),
        ),
    ),
    Defect(
        "a queue in which messages wait is forgotten",
        "paused_queues",
        UNLIST,
        (("== 1 then return 'm' end\nend", "== 2 then return 'm' end\nend"),),
    ),
    Defect(
        "a unique key is taken by a second message",
        "keyed",
        ENQUEUE,
        (("if taken and (tonumber(string.sub(taken, 1, 12), 16) or 0) > NOW then", "if false then"),),
    ),
    Defect(
        "an idempotency key is taken by a second message",
        "keyed",
        ENQUEUE,
        (("    if known and first ~= ARGV[at + 7] then", "    if false then"),),
    ),
    Defect(
        "an idempotency key stands in the way of who is sent in place of its message",
        "keyed",
        ENQUEUE,
        (("    if known and first ~= ARGV[at + 7] then", "    if known then"),),
    ),
    Defect(
        "an idempotency key goes with the message in whose place another was sent",
        "keyed",
        ENQUEUE,
        (("if ARGV[at + 7] ~= '' then CALL('HDEL', P .. 'ikid', ARGV[at + 7]) end", ""),),
    ),
    Defect(
        "a unique key is held beyond its time",
        "keyed",
        ENQUEUE,
        (("if taken and (tonumber(string.sub(taken, 1, 12), 16) or 0) > NOW then", "if taken then"),),
    ),
    Defect(
        "a unique key is not let go of at the end",
        "keyed",
        COMMIT,
        (("          let_go_of_key(digest, id)\n", ""),),
    ),
    Defect(
        "a unique key is let go of by one that held it before",
        "keyed",
        COMMIT,
        (("if taken and string.sub(taken, 13) == id then", "if taken then"),),
    ),
    Defect(
        "a unique key that is held until the start is held until the end",
        "keyed",
        CLAIM,
        (("if some then let_go_when_claimed(ids) end", ""),),
    ),
    Defect(
        "a unique key is held by one that was handed over",
        "keyed",
        ENQUEUE,
        (("        let_go_when_claimed(ids)\n      end", "      end"),),
    ),
    Defect(
        "a message of a sequence does not wait for its turn",
        "keyed",
        ENQUEUE,
        (("    blocked = last[1] ~= nil\n", ""),),
    ),
    Defect(
        "the end of one that waits for its turn gives it to the next",
        "keyed",
        REVOKE,
        (("  if not had_turn then\n", "  if false then\n"),),
    ),
    Defect(
        "the end of one that had its turn gives it to nobody",
        "keyed",
        COMMIT,
        (("if string.sub(rec, 2, 2) == 'P' then make_ready(heir, rec, false) end", ""),),
    ),
    Defect(
        "a child gets what was handed to it, and the wake-up says that it has not",
        "side_by_side",
        CLAIM,
        (("    CALL('UNLINK', P .. 'wake:' .. holder)\n    -- nor", "    -- nor"),),
        found_by=132,
    ),
    Defect(
        "what may begin only once begins again after a death",
        "at_most_once",
        REAP,
        (("      local over = lost[id]\n", "      local over = nil\n"),),
    ),
    Defect(
        "who runs many at once is handed more before it has heard of the last",
        "side_by_side",
        ENQUEUE,
        (("(many and 'wake:' or 'run:')", "(many and 'none:' or 'run:')"),),
    ),
    Defect(
        "who signs off stays idle",
        "side_by_side",
        CLAIM,
        (("idle_no_more(holder, 7)", "idle_no_more(holder, 8)"),),
    ),
    Defect(
        "what was told to be revoked goes back in line when its child dies",
        "ended_runs",
        REAP,
        (("elseif revoked then", "elseif false then"),),
    ),
    Defect(
        "what was told to be revoked goes back in line when it is taken back",
        "ended_runs",
        RECALL,
        (("local revoked = revoked_outcome(back[j], rec)", "local revoked = nil"),),
        found_by=30,
    ),
    Defect(
        "what has ended is still to be revoked",
        "ended_runs",
        COMMIT,
        (
            (
                "string.sub(rec, 62, 62), 1, true) then CALL('HDEL', P .. 'rv', id) end",
                "'x', 1, true) then end",
            ),
        ),
    ),
    Defect(
        "what is ended for its time limit is charged with a crash",
        "ended_runs",
        REAP,
        (("if crashed and not revoked and (outcome == '' or ending == 'D') then", "if crashed then"),),
    ),
    Defect(
        "what is ended for its time limit is run again",
        "ended_runs",
        REAP,
        (("if crashed and outcome ~= '' then", "if crashed and ending == 'D' then"),),
    ),
    Defect(
        "a run that has lost its lease may still tell of itself",
        "ended_runs",
        TELLING,
        (("1, 51) ~= 'T' .. ARGV[4] then return 0 end", "1, 1) == '' then return 0 end"),),
    ),
    Defect(
        "what has ended still tells of itself",
        "ended_runs",
        COMMIT,
        (("    if telling then CALL('HDEL', P .. 'tellings', unpack(ids)) end\n", ""),),
    ),
    Defect(
        "a worker is not told what it is to end",
        "ended_runs",
        ORDER,
        (("CALL('RPUSH', list, ARGV[4])\n", ""),),
    ),
    Defect(
        "a worker that is gone is told something",
        "ended_runs",
        ORDER,
        (("'state') ~= 'live' then return 0 end", "'state') == '' then return 0 end"),),
        found_by=48,
    ),
    Defect(
        "who was declared dead lives again by telling something of itself",
        "lost_leases",
        WORKER,
        (
            (
                "  if CALL('HGET', key, 'state') ~= 'live' then return 0 end\n  CALL('HSET', key, 'info', ARGV[5])",
                "  CALL('HSET', key, 'state', 'live', 'info', ARGV[5])",
            ),
        ),
    ),
    Defect(
        "what a worker that is gone had told stays for ever",
        "lost_leases",
        WORKER,
        (
            (
                "'state') ~= 'live' then return 0 end\n  CALL('HSET', key, 'info'",
                "'state') == '' then return 0 end\n  CALL('HSET', key, 'info'",
            ),
        ),
    ),
    Defect(
        "a claim looks into its queues the last one first",
        "shared_out",
        CLAIM,
        (
            (
                "P .. 'q:' .. ARGV[i] .. ':' .. priority end",
                "P .. 'q:' .. ARGV[#ARGV + 7 - i] .. ':' .. priority end",
            ),
        ),
    ),
    Defect(
        "a claim takes what is least urgent first",
        "shared_out",
        CLAIM,
        (("for priority = 9, 0, -1 do", "for priority = 0, 9 do"),),
    ),
    Defect(
        "a claim that has found something looks no further",
        "shared_out",
        CLAIM,
        (("while n < most and not alone do", "while n < 1 and not alone do"),),
    ),
    Defect(
        "of a backlog only what is most urgent is counted",
        "shared_out",
        BACKLOG,
        (("    count = count + length\n", "    count = count + length if count > 0 then break end\n"),),
    ),
    Defect(
        "what was passed over for long is not owed its turn",
        "shared_out",
        Rule(Strategy, "is_owed"),
        (("return load.passes > 0 and", "return load.passes < 0 and"),),
    ),
    Defect(
        "a claim that was full is taken for one that looked everywhere",
        "shared_out",
        Rule(Balance, "claimed_from"),
        (("at_end = len(queues) < most", "at_end = len(queues) <= most"),),
    ),
    Defect(
        "of those that were passed over the latest goes first",
        "shared_out",
        Rule(balance, "ordered"),
        (
            (
                "owed.sort(key=lambda source: loads.of(source).served_s)",
                "owed.sort(key=lambda source: -loads.of(source).served_s)",
            ),
        ),
    ),
    Defect(
        "a start that is granted is not noted",
        "limited",
        RATE,
        (("digits(math.max(now, free) + interval))", "digits(free))"),),
    ),
    Defect(
        "what was reserved may be started whatever was started meanwhile",
        "limited",
        RATE,
        (
            (
                "if free - grace <= now and (mine and mine <= now or",
                "if (mine and mine <= now or free - grace <= now and",
            ),
        ),
    ),
    Defect(
        "newcomers overtake those who wait for a start",
        "limited",
        RATE,
        (("or not mine and waiting == 0)", "or not mine)"),),
    ),
    Defect(
        "all who wait are told the same moment",
        "limited",
        RATE,
        (("if waiting > 0 then", "if false then"),),
    ),
    Defect(
        "who waits for a start may never have one",
        "limited",
        RATE,
        (("(mine and mine <= now or not mine and", "(not mine and"),),
    ),
    Defect(
        "every start costs two",
        "limited",
        RATE,
        (("digits(math.max(now, free) + interval))", "digits(math.max(now, free) + 2 * interval))"),),
    ),
    # of the simulated worker itself: the node grants all in time, and the limit is not reached
    Defect(
        "who waits for a start comes long after its moment",
        "limited",
        Rule(Child, "_wait_for_start"),
        (("return math.ceil(start.moment_ms)", "return math.ceil(start.moment_ms) + 1500"),),
    ),
    Defect(
        "who has been granted a start goes on waiting for one",
        "limited",
        RATE,
        (("  CALL('ZREM', moments, id)\n", ""),),
    ),
    Defect(
        "a ticket wakes children of another worker",
        "tickets",
        TICKET,
        (("'(' .. incarnation .. 'g'", "'(g'"),),
        seeds=60,
    ),
    Defect(
        "a child that tickets wake is woken by the node as well",
        "tickets",
        CLAIM,
        (("local waits = by_ticket and", "local waits = false and"),),
        seeds=60,
    ),
    Defect(
        "a ticket takes from a paused queue",
        "tickets",
        TICKET,
        (("if some and CALL", "if false and CALL"),),
        seeds=60,
        found_by=28,
    ),
    Defect(
        "a ticket gives to a child that has been given something",
        "tickets",
        TICKET,
        (
            (
                "if last then return holder, last end\n  end\nend\n\n-- The line,",
                "return holder, last or '00000000' end\nend\n\n-- The line,",
            ),
        ),
        seeds=60,
    ),
    Defect(
        "a dead child goes on waiting for tickets",
        "tickets",
        REAP,
        (
            (
                "idle_no_more(holder, queues)",
                "if not is_by_ticket(holder) then idle_no_more(holder, queues) end",
            ),
        ),
        seeds=60,
    ),
    # The last two were real: what the first seeds of this suite found. What is rarer has a scene in test_directed.py.
    Defect(
        "a claim which a dead child had sent takes messages after it was reaped",
        "crashes",
        REAP,
        (("'s' .. string.sub(holder, 17), 'ffffffff')", "'s' .. string.sub(holder, 17), '00000000')"),),
        found_by=55,
    ),
    Defect(
        "a function is missed by the second group of a call",
        "functions",
        ENQUEUE,
        (("if hash ~= '' and not blobs[hash] and", "if hash ~= '' and ARGV[at + 6] == '' and"),),
        found_by=40,
    ),
)
