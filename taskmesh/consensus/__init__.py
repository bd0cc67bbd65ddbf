"""Agreement on single values: Paxos registers in the CASPaxos form. Pure: no socket, no clock, no chance.

Imports `core` and `errors` only. A register holds one value, agreed by a majority of acceptors; there is no log. Read
`ballot.py` and `quorum.py` first, then `acceptor.py` (the model, whose replies the `.lua` scripts repeat word by word),
`proposer.py` (one round), `registers.py` (read, change, delete, list) and `reconfigure.py` (other acceptors).
Sources: "Paxos Made Simple" (Lamport 2001), "CASPaxos" (Rystsov 2018, arXiv 1802.07000); `docs/divergence.md` says
where and why we leave them.
"""
