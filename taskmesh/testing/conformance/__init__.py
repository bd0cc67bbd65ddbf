"""What every broker has to keep, as tests to run against yours.

`BrokerConformance` sends messages to real workers and harms them; `TicketsConformance` asks the broker itself, within
one process. Derive a class of your own from each, in a file that pytest collects, and say where the broker is:

    from taskmesh.testing.conformance import BrokerConformance, TicketsConformance

    class TestMine(BrokerConformance):
        @pytest.fixture(scope="class")
        @classmethod
        def broker(cls):
            return "mine://localhost"

    class TestMyTickets(TicketsConformance):
        @pytest.fixture(scope="class")
        @classmethod
        def broker(cls):
            return "mine://localhost"

Needs pytest. May import everything but the faces. Read `broker_suite` first, then `stage` (the mesh, its node and its
workers) and `ticket_suite`.
"""

from __future__ import annotations

import pytest

# before they are imported: what fails in them is then shown as in a test of one's own
pytest.register_assert_rewrite(f"{__name__}.broker_suite", f"{__name__}.ticket_suite")

from taskmesh.testing.conformance.broker_suite import BrokerConformance  # noqa: E402 - as above
from taskmesh.testing.conformance.ticket_suite import TicketsConformance  # noqa: E402 - as above

__all__ = ["BrokerConformance", "TicketsConformance"]
