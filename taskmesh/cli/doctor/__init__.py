"""`taskmesh doctor`: what may be wrong, and what to do about it.

Each check is a function that yields findings; none of them changes anything. `machine` looks at this machine,
`node` at the server, `state` at the mesh that lives on it. Read `command` for their order.
"""
