"""When schedules fire, and who fires them.

What is pure knows no clock and does no I/O; moments are Unix milliseconds. Read in this order: `zones.py` (a zone as
pieces of constant offset), `cron_line.py` (which wall times a cron line names), `crontab.py` (the daylight-saving
policy), `every.py` and `once.py`, `when.py` (all three as text), `timetable.py` (firings between two moments), and
`misfire.py` and `overlap.py` (which of them are run).
"""
