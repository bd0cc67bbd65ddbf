"""What stands on registers: schedules, and who sees to them. Pure: no clock, no chance, no I/O.

Imports `consensus`, `core`, `config` and `errors` only. A register's content is a small struct in msgpack, made and
read in one file each (`schedule.py`, `cursor.py`); changes are functions of what a register holds, for
`Registers.change` (`schedule_change.py`). `firing.py` names schedules and their firings.
"""
