"""Whether somebody leads right now, for people who ask."""

from __future__ import annotations

from typing import Final

from taskmesh.consensus.registers import Registers
from taskmesh.coordination.leader import REGISTER, RENEW_S, Leader, Watch, unpack_leader
from taskmesh.core.steps import GroupSteps, Pause

#: How old a renewal may look, by clocks on the wall, to be believed without waiting for the next.
FRESH_MS: Final = int(2 * RENEW_S * 1000)
#: How often to look whether the next has come.
_LOOK_S: Final = 0.25


def leading(registers: Registers, now_ms: int) -> GroupSteps[tuple[Leader, bool]]:
    """Return what the register of the leader says, and whether its holder lives.

    That takes no time where the last renewal looks fresh, or nobody holds it. Otherwise it waits for the next, as a
    challenger does and for as long: clocks on walls may differ.

    Args:
        registers: The way to it.
        now_ms: Unix time.

    Raises:
        AgreementError: Too few acceptors answered.
    """
    found = unpack_leader((yield from registers.read(REGISTER)).content)
    if not found.holder or 0 <= now_ms - found.renewed_ms <= FRESH_MS:
        return found, bool(found.holder)
    watch = Watch()
    watch.saw(found.mark, registers.now_s())
    while not watch.may_bid(registers.now_s()):
        yield Pause(_LOOK_S)
        seen = unpack_leader((yield from registers.read(REGISTER)).content)
        if seen.mark != found.mark:
            return seen, bool(seen.holder)
    return found, False
