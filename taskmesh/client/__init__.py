"""What a caller holds: tasks, results, sets of results, batches, the executor, the inbox of notices.

Imports `nodes` and what lies below it; knows nothing of workers. Read `task`, then `sender`, then `inbox`.
"""
