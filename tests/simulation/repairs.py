"""Repairs which the scripts still need: faults that this suite found, mended here so that it can look further.

Each is a text of a script and what should stand in its place. One that the script already has is left out. Once
all are there, this file goes.
"""

from __future__ import annotations

from taskmesh.core.script import Script
from taskmesh.queue.commit import COMMIT
from taskmesh.queue.enqueue import ENQUEUE
from taskmesh.queue.workers import REAP
from tests.simulation.patching import patched

#: A claim that a child sent before it died may be executed after it was reaped, while its worker lives: what it takes
#: then is nobody's. So the reaped child is shut out.
LATE_CLAIM_OF_THE_DEAD = (
    "local run = P .. 'run:' .. holder\nlocal fields",
    (
        "if CALL('HGET', P .. 'w:' .. incarnation, 'state') == 'live' then\n"
        "  CALL('HSET', P .. 'w:' .. incarnation, 's' .. string.sub(holder, 17), 'ffffffff')\n"
        "end\n"
        "local run = P .. 'run:' .. holder\nlocal fields"
    ),
)
#: Two groups of one call with one function that the node lacks: the blob comes with the first, and the second was
#: refused for want of it, for ever. And it must be kept even if the first group was known before.
FUNCTION_OF_TWO_GROUPS = (
    (
        "local verdicts = {}\nlocal at = 3\n",
        "local verdicts, blobs = {}, {}\nlocal at = 3\n",
    ),
    (
        (
            "  if hash ~= '' and ARGV[at + 5] == '' and CALL('EXISTS', P .. 'fn:' .. hash) == 0 then\n"
            "    return redis.error_reply('NEEDFUNCTION ' .. hash)\n"
            "  end\n"
        ),
        (
            "  if ARGV[at + 5] ~= '' then blobs[hash] = ARGV[at + 5] end\n"
            "  if hash ~= '' and not blobs[hash] and CALL('EXISTS', P .. 'fn:' .. hash) == 0 then\n"
            "    return redis.error_reply('NEEDFUNCTION ' .. hash)\n"
            "  end\n"
        ),
    ),
    (
        "if blob ~= '' then CALL('SET', P .. 'fn:' .. hash, blob) end",
        "if blobs[hash] then CALL('SET', P .. 'fn:' .. hash, blobs[hash]) end",
    ),
)
#: With an older disk a sequence may come twice: once in the life that never was, and once for what was handed over
#: since. A child that is done with the first must not drop the second from its index.
SEQUENCE_OF_ANOTHER_LIFE = (
    (
        "  verdicts[i] = verdict\nend\n",
        "  verdicts[i] = verdict\n  if verdict ~= 'z' then ended[id] = true end\nend\n",
    ),
    (
        "local written, released, verdicts, w = {}, {}, {}, 0\n",
        "local written, released, verdicts, ended, w = {}, {}, {}, {}, 0\n",
    ),
    (
        "for i = 6, first - 1 do CALL('HDEL', run, ARGV[i]) end\n",
        (
            "for i = 6, first - 1 do\n"
            "  local lease, holds = ARGV[3] .. ARGV[i], false\n"
            "  for id in string.gmatch(CALL('HGET', run, ARGV[i]) or '', '[^\\n]+') do\n"
            "    if not ended[id] then\n"
            "      local head = CALL('GETRANGE', P .. 'r:' .. id, 1, 51)\n"
            "      holds = holds or (string.sub(head, 1, 1) == 'T' and string.sub(head, 22) == lease)\n"
            "    end\n"
            "  end\n"
            "  if not holds then CALL('HDEL', run, ARGV[i]) end\n"
            "end\n"
        ),
    ),
)


def repaired() -> dict[str, Script]:
    """Return the scripts, by name, that need repairs, with these."""
    scripts = {}
    for script, changes in (
        (REAP, (LATE_CLAIM_OF_THE_DEAD,)),
        (ENQUEUE, FUNCTION_OF_TWO_GROUPS),
        (COMMIT, SEQUENCE_OF_ANOTHER_LIFE),
    ):
        missing = [change for change in changes if change[1].encode() not in script.source]
        if missing:
            scripts[script.name] = patched(script, *missing)
    return scripts
