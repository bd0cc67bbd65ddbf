"""Who is told that a queue has work: the nodes themselves, or a broker that somebody runs already.

A message is always recorded on its nodes first, and what stands there is the truth. A broker carries *tickets*, which
name a queue and nothing else. So what a broker loses, delays or delivers twice costs time, never a message.

May import `config`, `core` and `errors`, and threads and sockets; its files `kombu_*` alone import `kombu`. Read
`contract` first, then `named` (which broker an address means), `over_lines` (of what most are made) and `line` (one
connection).
"""
