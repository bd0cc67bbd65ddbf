"""The nodes as their own broker keep what every broker has to."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import pytest

from taskmesh.testing.conformance import BrokerConformance

pytestmark = pytest.mark.needs_server


class TestMeshBroker(BrokerConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def interruption(cls, shared_stage):
        @contextmanager
        def interruption():
            # its guardian brings it back
            os.kill(shared_stage.node.server_pid, signal.SIGKILL)
            yield

        return interruption
