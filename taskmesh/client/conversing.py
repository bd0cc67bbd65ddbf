"""Having conversations in which somebody waits for others: in a thread, or in an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from taskmesh.coordination.committing import Deliver, TransactionSteps
from taskmesh.coordination.means import AskGeneration, Nap, Tell, WaitingSteps
from taskmesh.core.steps import Pause, Reply, Round
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.transacting import deliver, generation

if TYPE_CHECKING:
    from taskmesh.client.bell import Bell
    from taskmesh.client.turns import Turns
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link

T = TypeVar("T")


class Conversing:
    """Runs conversations of one process."""

    def __init__(self, agreement: Agreement, link: Link, turns: Turns) -> None:
        """Prepare."""
        self._agreement = agreement
        self._link = link
        self._turns = turns

    def run(self, steps: WaitingSteps[T] | TransactionSteps[T], bell: Bell | None = None) -> T:
        """Have a conversation in this thread.

        Args:
            steps: The conversation.
            bell: Of the one who waits in it; None if nobody does.
        """
        try:
            request = next(steps)
            while True:
                replies: Sequence[Reply] = []
                if isinstance(request, Nap) and bell is not None:
                    self._turns.listen()
                    bell.wait(request.seconds)
                elif isinstance(request, (Nap, Pause)):
                    time.sleep(request.seconds)
                else:
                    try:
                        replies = self._perform(request)
                    except NodeUnavailable as error:
                        request = steps.throw(error)
                        continue
                request = steps.send(replies)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            # what was interrupted here cleans up now, not when it is collected
            steps.close()

    async def run_async(self, steps: WaitingSteps[T] | TransactionSteps[T], bell: Bell | None = None) -> T:
        """As `run`, in an event loop: rounds are made in a thread.

        The mesh must have been opened, since that may block.
        """
        from taskmesh.nodes.async_thread import in_thread_once

        try:
            request = next(steps)
            while True:
                replies: Sequence[Reply] = []
                if isinstance(request, Nap) and bell is not None:
                    self._turns.listen()
                    await bell.wait_async(request.seconds)
                elif isinstance(request, (Nap, Pause)):
                    await asyncio.sleep(request.seconds)
                else:
                    try:
                        replies = await in_thread_once(partial(self._perform, request))
                    except NodeUnavailable as error:
                        request = steps.throw(error)
                        continue
                request = steps.send(replies)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            steps.close()

    def _perform(self, request: Round | Tell | AskGeneration | Deliver) -> Sequence[Reply]:
        if isinstance(request, Round):
            return self._agreement.driver.perform(request)
        if isinstance(request, Tell):
            self._turns.tell(request.whom)
            return []
        if isinstance(request, Deliver):
            return [deliver(self._link, request)]
        return [generation(self._link)]
