"""The life of a message on a node: enqueue, claim, commit, release, revoke, dead letters, workers.

Pure: each operation is a generator beside the Lua script that it calls. Imports `core` and `errors`
only. Read `enqueue` first, then `claim` and `commit`.
"""
