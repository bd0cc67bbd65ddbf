"""Who is told that a queue has work: the nodes themselves, or a broker that somebody runs already.

A message is always recorded on its nodes first, and what stands there is the truth. A broker carries *tickets*, which
name a queue and nothing else. So what a broker loses, delays or delivers twice costs time, never a message.

May import `config`, `core` and `errors`, and threads and sockets; `kombu` is imported by `kombu` alone. Read `contract`
first: what a broker has to offer.
"""
