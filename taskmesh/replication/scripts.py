"""The scripts of a mesh of several nodes that a leader runs, and what stands in them."""

from __future__ import annotations

from taskmesh.core.script import load_script

_HERE = "taskmesh.replication"

STAND = load_script(_HERE, "stand")
FENCE = load_script(_HERE, "fence")
ACTIVATE = load_script(_HERE, "activate")
PROMOTE = load_script(_HERE, "promote", fenced=True)
PROMOTE_ANEW = load_script(_HERE, "promote_anew", fenced=True)
PROMOTE_KEYS = load_script(_HERE, "promote_keys", fenced=True)
PROMOTE_LINES = load_script(_HERE, "promote_lines", fenced=True)
ADOPT = load_script(_HERE, "adopt")

#: Sets of a slot's ids: those that are not final, and those that are.
SETS = (b"L", b"F")
#: Of a slot that the node led before: those that are not final, for their lines only.
LINES_ONLY = (b"P",)
#: About how many records a step looks at: a few milliseconds of the node.
LIST_STEP, PROMOTE_STEP, LINE_STEP = 1000, 200, 500
