"""`taskmesh demo`: the main job on files that every machine has.

Every `*.py` of a tree (the standard library of the running Python) becomes one task. The workers read and
parse the files, this process collects the figures as they complete, and a fresh single process then does the
same work for comparison.

Read `command` for the story, then `analysis` (one file to figures) and `tally` (figures to totals), which are
pure. `tasks` is what the workers import: to stay light it uses nothing of this folder but `analysis`.
"""
