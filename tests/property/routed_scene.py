"""Messages of any kind, sent to a mesh of many nodes and to one node that does the same."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from taskmesh.core.ids import make_id, routing_of, slot_of
from taskmesh.core.record import head_parts
from taskmesh.core.state import LETTER, State
from taskmesh.core.steps import Session, Steps
from taskmesh.queue.claim import claim
from taskmesh.queue.enqueue import NewMessage, Sent, enqueue, message_keys
from taskmesh.queue.workers import register
from taskmesh.replication.view import Member, View
from taskmesh.results.read import read
from tests.property.routed_mesh import BEGIN_MS, PREFIX, ManyNodes, OneNode, at

few = settings(max_examples=40, deadline=None)
SLOTS = 16
INCARNATION = b"00000000000000aa"
HOLDER = INCARNATION + b"000001"
QUEUES = [b"mail", b"slow"]
FUNCTIONS = {b"%064x" % number: b"function %d" % number for number in range(1, 3)}


@st.composite
def views(draw: Any) -> View:
    """Draw a view of one to five nodes, some of which lead nothing."""
    count = draw(st.integers(1, 5))
    members = tuple(
        Member(f"n{number}", f"redis://host{number}", f"{number:016x}", f"{number:040x}")
        for number in range(1, count + 1)
    )
    leads = draw(st.lists(st.integers(1, count), min_size=SLOTS, max_size=SLOTS))
    return View(7, "active", SLOTS, 1, members, tuple((f"n{number}",) for number in leads))


seeds = st.integers(0, 2**32)


def message(random: Random, number: int, **given: Any) -> NewMessage:
    """Return a message of any kind."""
    routing = random.randrange(65536)
    unique = b""
    if random.random() < 0.2:
        text = f"key {random.randrange(4)}"
        routing, unique = routing_of(text), text.encode().hex().encode().ljust(32, b"0")
    if random.random() < 0.2:
        task_id = f"named-{number}"
        unique, routing = b"", routing_of(task_id)
    else:
        task_id = make_id(BEGIN_MS, routing, random.randbytes(8))
    queue = random.choice(QUEUES)
    function = random.choice([b"", b"", *FUNCTIONS])
    due = random.choice([0, 0, 0, BEGIN_MS + 1000])
    start, middle, end, names = head_parts(
        state=LETTER[State.SCHEDULED if due else State.PENDING],
        queue=queue,
        channel=b"",
        function=function,
        priority=4,
        flags=0,
        result_ttl_s=3600,
    )
    slot = b"%04x" % slot_of(routing, SLOTS)
    wire = b"%b%b%b%012x%012x%b%benvelope %d" % (start, slot, middle, BEGIN_MS, due, end, names, number)
    fields = {
        "due_ms": b"%d" % due if due else b"",
        "function": function,
        "expires_ms": random.choice([b"", b"%d" % (BEGIN_MS + 500)]),
        "keys": message_keys(unique=unique) if unique else None,
    }
    return NewMessage(task_id.encode(), wire, slot, queue, BEGIN_MS, **(fields | given))


class Both:
    """A mesh of many nodes, and one node that does the same."""

    def __init__(self, view: View, seed: int) -> None:
        self.random = Random(seed)
        self.one = OneNode(SLOTS)
        self.many = ManyNodes(view)
        self.meshes = (self.one, self.many)
        self.sent: list[NewMessage] = []

    def same(self, make: Any, *args: Any) -> Any:
        """Run a protocol on both, and return what both have answered."""
        one, many = (mesh.run(make(mesh.session, *args)) for mesh in self.meshes)
        assert many == one, f"many: {many!r}\none:  {one!r}"
        return one

    def send(self, count: int) -> None:
        """Send messages, of which some were sent before and some are not to be recorded for their keys."""
        new = [message(self.random, len(self.sent) + number) for number in range(count)]
        sent = new + self.random.sample(self.sent, min(2, len(self.sent)))
        self.random.shuffle(sent)
        self.enqueue(sent)
        self.sent += new

    def enqueue(self, messages: list[NewMessage]) -> None:
        """Send messages; in which order they are accepted is each node's own affair."""

        def ordered(session: Session) -> Steps[Sent]:
            sent = yield from enqueue(session, messages, FUNCTIONS)
            return replace(sent, accepted=sorted(sent.accepted), known=sorted(sent.known))

        self.same(ordered)

    def claim(self) -> dict[str, bytes]:
        """Claim all that is ready, everywhere under the same lease, and return the tokens."""
        found: list[dict[str, bytes]] = []
        for mesh in self.meshes:
            tokens: dict[str, bytes] = {}
            for node in mesh.nodes:
                mesh.run(at(node, register(mesh.session, INCARNATION, b"{}")))
                claims = mesh.run(at(node, claim(mesh.session, HOLDER, 1, 1000, QUEUES, idle=False)))
                # who finds nothing on one of several nodes is not idle
                mesh.nodes[node].call((b"DEL", *(PREFIX + b"idle:" + queue for queue in QUEUES)))
                tokens |= {each.task_id.decode(): each.token for each in claims}
            found.append(tokens)
        assert found[0] == found[1]
        return found[0]

    @property
    def ids(self) -> list[str]:
        """All that were sent, in any order, and one that nobody knows."""
        ids = [*(each.task_id.decode() for each in self.sent), "nobody"]
        self.random.shuffle(ids)
        return ids

    def check(self) -> None:
        """All records are alike."""
        self.same(read, self.ids)
