"""Ask a node until it answers: the one place where a lost answer, a newer epoch and patience meet.

Every script is idempotent, so a call that may have been executed is simply made again. What the
caller must know at the end is whether anything can have happened: `Refused` says no.
"""

from __future__ import annotations

from typing import Any

from taskmesh.core.script import Script
from taskmesh.core.steps import Call, NoAnswer, NodeError, Pause, Refused, Session, Steps
from taskmesh.errors import NodeFault, NodeUnavailable, StaleView
from taskmesh.replication.join import PASSING, refresh

RETRY_DELAY_S_MIN = 0.01
RETRY_DELAY_S_MAX = 0.5
#: A node that is a newer epoch each time it is asked is being restarted over and over.
STALE_MAX = 20


def ask(session: Session, script: Script, *args: bytes, patience_s: float = 10.0) -> Steps[Any]:
    """Run one script, repeating it while no answer comes.

    Args:
        session: Where, and at which epoch.
        script: An idempotent script.
        args: Its arguments after the epoch and the time.
        patience_s: How long to go on, by the session's clock.

    Returns:
        The script's reply.

    Raises:
        NodeUnavailable: No answer in time; `may_be_done` tells whether it may have been executed.
        NodeFault: The script answered with an error that repeating does not mend; `text` is that.
        StaleView: The epoch kept changing.
    """
    give_up_ms = session.now_ms() + int(patience_s * 1000)
    delay_s, maybe, stale = RETRY_DELAY_S_MIN, False, 0
    while True:
        (reply,) = yield [session.call(script, *args)]
        kind = type(reply)
        if kind is NodeError:
            if reply.text.startswith("STALEVIEW"):
                stale += 1
                if stale > STALE_MAX:
                    raise StaleView(f"the epoch of the node changed {stale} times during one {script.name}")
                yield from refresh(session)
                continue
            if not reply.text.startswith(PASSING):
                raise NodeFault(f"{script.name}: {reply.text}", text=reply.text)
            reply = Refused(f"it refuses for now: {reply.text}")
            kind = Refused
        if kind is not Refused and kind is not NoAnswer:
            return reply
        maybe = maybe or kind is NoAnswer
        if session.now_ms() >= give_up_ms:
            raise NodeUnavailable(
                f"the node did not answer {script.name} within {patience_s:g} s: {reply.reason}",
                node=session.prefix.decode(),
                may_be_done=maybe,
                lasts=lasts(reply),
            )
        yield Pause(delay_s)
        delay_s = min(delay_s * 2, RETRY_DELAY_S_MAX)


def plain(session: Session, *words: bytes) -> Steps[Any]:
    """Run one plain command once. One that changes something may have been executed although this raises.

    Raises:
        NodeUnavailable, NodeFault: As `ask`.
    """
    return (yield from look(session, Call(None, session.prefix, words)))


def look(session: Session, call: Call) -> Steps[Any]:
    """Make one call that changes nothing, once.

    Raises:
        NodeUnavailable, NodeFault: As `ask`.
    """
    (reply,) = yield [call]
    return answer(session, call.script.name if call.script is not None else call.args[0].decode(), reply)


def answer(session: Session, name: str, reply: Any) -> Any:
    """Return the reply to a call that changes nothing, one of several that travelled together.

    Args:
        session: Where.
        name: Of the script or command, for people.
        reply: To it.

    Raises:
        NodeUnavailable, NodeFault: As `ask`.
    """
    if isinstance(reply, NodeError) and reply.text.startswith(PASSING):
        reply = Refused(f"it refuses for now: {reply.text}")
    if isinstance(reply, NodeError):
        raise NodeFault(f"{name}: {reply.text}", text=reply.text)
    if isinstance(reply, (Refused, NoAnswer)):
        raise NodeUnavailable(
            f"the node did not answer: {reply.reason}",
            node=session.prefix.decode(),
            may_be_done=False,
            lasts=lasts(reply),
        )
    return reply


def lasts(reply: Refused | NoAnswer) -> bool:
    """Tell whether the same is to be expected however often it is asked again."""
    return isinstance(reply, Refused) and reply.lasts
