"""The only room that talks to nodes: addresses, connections, drivers, the embedded server, the key file.

Nothing else imports `redis`. Read `address`, then `sync_driver`; `embedded` and `guardian` stand apart.
"""
