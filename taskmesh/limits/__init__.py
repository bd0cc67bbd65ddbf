"""What holds a running task to its time: alarms for the main thread, for other threads and for coroutines.

Used by workers, and by callers that run tasks inline. The limits themselves are values, `core/limits.py`; the hard
one is kept by a worker's supervisor. Imports `core` and `errors` only. Read `alarm.py` first.
"""
