"""Tokens: numbers that only grow, one for each time that something is granted.

They come from one register for all of a mesh. The embedded node may forget the last of what it wrote; it counts its
starts, though, in a file that it does not forget. So that count is the high part of each token.
"""

from __future__ import annotations

from taskmesh.consensus.registers import Verdict, Versioned, Write
from taskmesh.coordination.means import AskGeneration, Means, WaitingSteps
from taskmesh.errors import ChangeUnknown

COUNTER = "counter/token"
#: Below it a generation counts.
GENERATION_BITS = 24


def following(previous: int, generation: int) -> int:
    """Return the token that comes after another.

    Args:
        previous: That; 0 for none.
        generation: How often the embedded node was started; 0 elsewhere.
    """
    return max(previous + 1, generation << GENERATION_BITS)


def next_token(means: Means) -> WaitingSteps[int]:
    """Draw a token: greater than each that was drawn before this was asked for.

    Raises:
        ChangeRejected, ChangeUnknown: None was drawn, or it is lost; ask again.
    """
    asked_again = False
    while True:
        generation = means.generation

        def count(found: Versioned, generation: int = generation) -> Verdict:
            token = b"%d" % following(int(found.content or b"0"), generation)
            return Write(token, answer=token)

        # the embedded node may have forgotten, and given others tokens since: it must say what it holds
        sticky = means.draws_alone and not means.is_embedded
        try:
            changed = yield from means.registers.change(COUNTER, count, means.operation(), sticky=sticky)
        except ChangeUnknown:
            if asked_again:
                raise
            # others drew more than the register remembers while this waited. One that may be lost harms nobody
            asked_again = True
            continue
        token = int(changed.answer)
        means.draws_alone, means.last_token = token == means.last_token + 1, token
        if means.is_embedded:
            # asked afterwards: so the node was not started anew between this number and what it was used for
            (means.generation,) = yield AskGeneration()
        if means.generation == generation:
            return token
