"""Whose turn it is, is told over all nodes, and none of them holds that up."""

from __future__ import annotations

import time

import pytest

from taskmesh.client.bell import Bell
from taskmesh.client.turns import Turns
from tests.integration.several.conftest import activate, view_of

pytestmark = pytest.mark.needs_server

PROCESS, REQUEST = b"process1", b"request"


def rings(bell: Bell) -> bool:
    began_s = time.monotonic()
    bell.wait(90)
    return time.monotonic() - began_s < 50


def test_a_turn_is_told_though_a_node_stands_still(three_nodes, make_link):
    activate(three_nodes, view_of(three_nodes))
    waiting, telling = (Turns(make_link().open(), name) for name in (PROCESS, b"process2"))
    with waiting.of(REQUEST) as bell:
        waiting.listen()
        assert rings(bell)  # it listens from now on
        telling.tell([(PROCESS + b"session", REQUEST)])  # it is connected to all of them
        assert rings(bell)
        three_nodes.stop(1)
        telling.tell([(PROCESS + b"session", REQUEST)])
        assert rings(bell)
    waiting.close()
