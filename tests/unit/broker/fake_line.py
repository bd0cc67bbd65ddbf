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
        self.tickets = []
        self.settled = []
        self.connects = 0
        self.waiting = {}

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
        self.server.connects += 1
        self.server.check()
        if not self.is_open:
            self.server.lines += 1
            self.is_open = True

    def publish(self, counts):
        self.server.entered.set()
        assert self.server.open.wait(90)
        self.server.check()
        self.server.rounds.append(dict(counts))

    def beat(self):
        self.server.check()

    def waiting(self, queue):
        self.server.check()
        return self.server.waiting.get(queue, 0)

    def consume(self, queues, at_once, heard):
        self.server.check()
        self.heard = heard

    def cancel(self):
        self.server.check()

    def wait(self, timeout_s, wakeup):
        """Deliver all tickets that the server has."""
        self.server.check()
        tickets, self.server.tickets = self.server.tickets, []
        for queue, tag in tickets:
            self.heard(queue, tag)

    def acknowledge(self, tag):
        self.server.settled.append(("acknowledged", tag))

    def put_back(self, tag):
        self.server.settled.append(("put back", tag))

    def close(self):
        self.is_open = False

    def abandon(self):
        self.abandoned = True
        self.is_open = False
