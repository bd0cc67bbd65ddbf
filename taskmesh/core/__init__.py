"""The words that every room uses: states and their moves, ids, records, keys, steps of a protocol.

Pure: values in, values out. Imports nothing of TaskMesh but `errors`. Read `state` first, then
`record`, then `steps`.
"""
