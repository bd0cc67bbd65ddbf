"""What stands on registers: who leads, schedules, locks, files. Pure: no clock, no chance, no I/O.

Imports `consensus`, `core`, `config` and `errors` only. A register's content is a small struct in msgpack, made and
read in one file each; changes are functions of what a register holds, for `Registers.change`.

Schedules: `schedule.py`, `cursor.py`, `schedule_change.py`; `firing.py` names schedules and their firings.
Locks and files, in the manner of Chubby (Burrows, OSDI 2006): `session.py` (who is alive), `line.py` (who holds
something, and who waits), `acquire.py` (getting it), `token.py`, `file_state.py`.
"""
