"""A line to a broker that stands in the test itself, and is away when the test says so."""

from __future__ import annotations

import threading

from taskmesh.errors import BrokerRefused, BrokerUnavailable


class FakeServer:
    """What stands behind the lines."""

    def __init__(self):
        self.rounds = []
        self.away = ""
        self.refuses = ""
        self.lines = 0
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()

    def line(self):
        return FakeLine(self)

    def check(self):
        if self.refuses:
            raise BrokerRefused(self.refuses, broker="fake://")
        if self.away:
            raise BrokerUnavailable(self.away, broker="fake://")


class FakeLine:
    shown = "fake://"
    beat_s = 60.0

    def __init__(self, server):
        self.server = server
        self.is_open = False
        self.abandoned = False

    def connect(self):
        self.server.check()
        if not self.is_open:
            self.server.lines += 1
            self.is_open = True

    def publish(self, counts):
        self.server.entered.set()
        assert self.server.open.wait(30)
        self.server.check()
        self.server.rounds.append(dict(counts))

    def beat(self):
        self.server.check()

    def close(self):
        self.is_open = False

    def abandon(self):
        self.abandoned = True
        self.is_open = False
