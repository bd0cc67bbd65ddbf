"""How a change reaches its node: joining the mesh, the epoch, repeating what may be lost.

Pure. Imports `core` and `errors`. One node today (R = W = 1): the rules for several stand in
`docs/architecture.md`.
"""
