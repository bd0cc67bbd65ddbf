"""Joining a mesh: the meta hash that is written once, and the epoch."""

from __future__ import annotations

from dataclasses import dataclass

from taskmesh.core.script import load_script
from taskmesh.core.steps import Call, NoAnswer, NodeError, Pause, Refused, Session, Steps
from taskmesh.errors import KeyMismatch, NodeFault, NodeUnavailable, UpgradeNeeded
from taskmesh.replication.view import OBEYS, WAITS

FORMAT = 1
#: Epoch of a mesh whose node no guardian numbers.
FIRST_EPOCH = b"000000000001"
#: How often a lost answer is asked for again before giving up, pauses doubling from 10 ms to 500 ms.
JOIN_TRIES = 12
#: Errors of a server that executed nothing and will recover, or be helped: a script that takes long, a full
#: disk, full memory, too few replicas.
PASSING = ("BUSY", "LOADING", "MISCONF", "NOREPLICAS", "OOM", "READONLY")
JOIN = load_script("taskmesh.replication", "join")


@dataclass(frozen=True, slots=True)
class Meta:
    """What a mesh was made with."""

    mesh_id: str
    slots: int
    format: int
    created_ms: int
    key_ids: tuple[str, ...]
    epoch: bytes
    made_now: bool


def join(session: Session, *, mesh_id: str, slots: int, key_id: str, tries: int = JOIN_TRIES) -> Steps[Meta]:
    """Make the mesh if it does not exist, check that it is one we can use, and set the session's epoch.

    Raises:
        KeyMismatch: The mesh does not accept `key_id`.
        UpgradeNeeded: Its format is newer than ours.
        NodeUnavailable: No answer.
    """
    make = Call(
        JOIN,
        session.prefix,
        (
            mesh_id.encode(),
            b"%d" % slots,
            b"%d" % FORMAT,
            b"%d" % session.now_ms(),
            key_id.encode(),
            FIRST_EPOCH,
        ),
    )
    # looked at first: a node with a full disk takes no script that may write, and there is rarely a mesh to make
    look = [
        Call(
            None,
            session.prefix,
            (b"HMGET", session.prefix + b"meta", b"mesh_id", b"slots", b"format", b"created_ms", b"keys"),
        ),
        Call(None, session.prefix, (b"GET", session.prefix + b"epoch")),
    ]
    delay_s, left = 0.01, tries
    while True:
        left -= 1
        found, epoch = yield look
        if isinstance(found, list) and None not in found and isinstance(epoch, bytes):
            reply = [*found, epoch, b"0"]
            break
        (reply,) = yield [make]
        if isinstance(reply, NodeError) and not reply.text.startswith(PASSING):
            raise NodeFault(f"cannot join the mesh: {reply.text}", text=reply.text)
        if not isinstance(reply, (Refused, NoAnswer, NodeError)):
            break
        if left <= 0:
            why = reply.text if isinstance(reply, NodeError) else reply.reason
            raise NodeUnavailable(
                f"the node cannot be joined: {why}", node=session.prefix.decode(), may_be_done=False
            )
        yield Pause(delay_s)
        delay_s = min(0.5, delay_s * 2)
    meta = Meta(
        mesh_id=reply[0].decode(),
        slots=int(reply[1]),
        format=int(reply[2]),
        created_ms=int(reply[3]),
        key_ids=tuple(reply[4].decode().split(",")),
        epoch=reply[5],
        made_now=reply[6] == b"1",
    )
    name = session.prefix.decode()[3:-1]
    if meta.format > FORMAT:
        raise UpgradeNeeded(
            f"mesh {name!r} is of format {meta.format}; this TaskMesh knows formats up to {FORMAT}: upgrade it"
        )
    if key_id and key_id not in meta.key_ids:
        raise KeyMismatch(
            f"mesh {name!r} accepts the keys {', '.join(meta.key_ids)}; this process would sign with {key_id}. "
            "Give it the mesh's key (key=, TASKMESH_KEY or TASKMESH_KEY_FILE), or have an accepted process run "
            "`taskmesh key rotate`"
        )
    session.epoch = meta.epoch
    session.slots = meta.slots
    return meta


def embedded_generation(epoch: bytes) -> int:
    """Return how often the embedded node was started when it had this epoch.

    0 for a server of the user's own, and for one of several, which counts views and no starts.
    """
    return 0 if epoch[:1] in (OBEYS, WAITS) else int(epoch[:8], 16)


def refresh(session: Session) -> Steps[None]:
    """Read the epoch again after a `STALEVIEW`.

    A node that lost everything has no epoch: it gets the first one, and its meta hash when somebody
    next joins.
    """
    for _ in range(JOIN_TRIES):
        (reply,) = yield [Call(None, session.prefix, (b"GET", session.prefix + b"epoch"))]
        if isinstance(reply, bytes):
            session.epoch = reply
            return
        if reply is None:
            session.epoch = FIRST_EPOCH
            yield [Call(None, session.prefix, (b"SET", session.prefix + b"epoch", FIRST_EPOCH, b"NX"))]
            continue
        yield Pause(0.05)
    raise NodeUnavailable("the node did not tell its epoch", node=session.prefix.decode(), may_be_done=False)
