"""The runner of a child, wired to its app and its conversation."""

from __future__ import annotations

from collections.abc import Callable
from random import SystemRandom

from taskmesh.metrics.sheet import Sheet
from taskmesh.worker.contacts import Contacts
from taskmesh.worker.host import App
from taskmesh.worker.needs import GuardLike
from taskmesh.worker.options import ChildOrder
from taskmesh.worker.own_loop import run_in_this_thread
from taskmesh.worker.runner import Runner
from taskmesh.worker.speaking import Speaking


def make_runner(
    mesh: App,
    talk: Speaking,
    order: ChildOrder,
    *,
    before_start: Callable[[str], None],
    after_end: Callable[[str, float], None],
    guard: GuardLike,
    sheet: Sheet | None = None,
) -> Runner:
    """Return the runner of a child.

    Args:
        mesh: The app.
        talk: The child's conversation with the node.
        order: What the child was told.
        before_start: See `Runner`.
        after_end: See `Runner`.
        guard: See `Runner`.
        sheet: See `Runner`.
    """
    link = talk.link
    return Runner(
        mesh.tasks,
        mesh.settings,
        hooks=mesh.hooks,
        messages=link.messages,
        results=link.results,
        functions=link.functions,
        fetch_function=talk.fetch_function,
        ask_start=talk.ask_start,
        is_limited=talk.operated.limits,
        now_ms=link.clock.now_ms,
        chance=SystemRandom().random,  # the task may have seeded the other one
        worker=order.worker,
        run_coroutine=run_in_this_thread,
        before_start=before_start,
        after_end=after_end,
        guard=guard,
        limits=order.limits,
        open_contact=Contacts(link).open,
        sheet=sheet,
        events=talk.events,
    )
