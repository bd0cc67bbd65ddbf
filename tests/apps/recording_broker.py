"""A broker that carries nothing and remembers what it was told."""

from __future__ import annotations

from taskmesh.broker.mesh import MeshBroker


class Recorder(MeshBroker):
    shown = "a recorder"

    def __init__(self, address, mesh):
        self.address = address
        self.mesh = mesh
        self.told = []
        self.closed = 0
        self.flushed = 0

    def announce(self, queue, count=1):
        self.told.append((queue, count))

    def flush(self, timeout_s):
        self.flushed += 1
        return True

    def close(self):
        self.closed += 1
