"""`taskmesh dead`: messages that were given up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from taskmesh.app import TaskMesh
from taskmesh.broker.announcing import announce
from taskmesh.cli.dead_story import Story, arguments_of, as_document, as_tables, story_of
from taskmesh.cli.failure import EXIT_FAILURE, Failure
from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.looking import ONE_IS_ENOUGH, looking, silence
from taskmesh.cli.output import as_iso, as_time, facts, json_option, print_json, say, show, table
from taskmesh.cli.purge import confirm
from taskmesh.cli.target import Target, target_options
from taskmesh.client.keys import keys_again
from taskmesh.core import keys
from taskmesh.core.state import LETTER, State
from taskmesh.queue.dead import DROPPED, UNKNOWN, dead_ids, dead_letters, sent_again, whole_record
from taskmesh.queue.dead import drop as drop_letters
from taskmesh.queue.enqueue import enqueue
from taskmesh.replication.ask import plain

#: A dead letter that is not listed any more: an earlier drop, the answer to which was lost, has done it.
_DROPPED_BEFORE = LETTER[State.DEAD][0]
_REASON_SHOWN = 120


@click.group(cls=SuggestingGroup)
def dead() -> None:
    """Look at dead letters, send them again, or drop them.

    A message becomes a dead letter when it will not be tried again: its process died `max_crashes` times, its
    signature is wrong, no worker knows its task. It is kept with its story for a person to look at.
    """


@dead.command(
    "list",
    epilog=ending(
        examples=["taskmesh dead list -A app:mesh", "taskmesh dead list --mesh shop --limit 1000 --json"],
        codes=[
            f"{ONE_IS_ENOUGH}; also when there are none",
            "1 no node can be reached, or there is no such mesh",
        ],
    ),
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Show so many at most."
)
@target_options()
@json_option
def list_command(*, limit: int, target: Target, json_wanted: bool) -> None:
    """List dead letters, the newest first.

    The task is shown where the message's signature is fine.
    """
    mesh = target.look()
    with looking(mesh) as look:
        total, letters = look.run(dead_letters(mesh.link.session, limit))
    stories = [
        (letter.died_ms, story_of(mesh, letter.task_id, letter.record)) for letter in letters if letter.record
    ]
    if json_wanted:
        shown = [_row(died_ms, story) for died_ms, story in stories]
        print_json({"total": total, "letters": shown} | silence(look))
    elif not stories:
        show(f"mesh {mesh.name} has no dead letters")
    else:
        show(
            table(
                f"dead letters: {total:,}",
                ["id", "died", "task", "queue", "crashes", "reason"],
                [
                    (
                        story.id,
                        as_time(died_ms),
                        story.task or "not verified",
                        story.record.queue,
                        story.record.crashes,
                        _first_line(story.reason),
                    )
                    for died_ms, story in stories
                ],
                numbers=["crashes"],
            )
        )
        if total > len(stories):
            say(f"{total - len(stories):,} older ones are not shown: --limit {total}")


def _row(died_ms: int, story: Story) -> dict[str, Any]:
    return {
        "id": story.id,
        "died": as_iso(died_ms),
        "task": story.task or None,
        "queue": story.record.queue,
        "attempt": story.record.attempt,
        "crashes": story.record.crashes,
        "reason": story.reason,
        "verified": story.envelope is not None,
    }


def _first_line(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= _REASON_SHOWN else line[: _REASON_SHOWN - 1] + "…"


@dead.command(
    "show",
    epilog=ending(
        examples=["taskmesh dead show 0193a2… -A app:mesh", "taskmesh dead show 0193a2… --mesh shop --args"],
        codes=["0 shown", "1 there is no such dead letter, or its arguments cannot be shown"],
    ),
)
@click.argument("task_id", metavar="ID")
@click.option(
    "--args",
    "args_wanted",
    is_flag=True,
    help="Unpickle the arguments and show them, if the signature is fine. This runs code of the sender's classes.",
)
@target_options()
@json_option
def show_command(*, task_id: str, args_wanted: bool, target: Target, json_wanted: bool) -> None:
    """Tell the story of a dead letter, or of a failed task.

    Nothing is unpickled unless --args is given. What cannot be verified is shown as size and hexadecimal digits.
    """
    mesh = target.look()
    story = story_of_letter(mesh, task_id)
    text, problem = arguments_of(mesh, story) if args_wanted else ("", "")
    if json_wanted:
        more = {"arguments": None if problem else text, "arguments_problem": problem} if args_wanted else {}
        print_json(as_document(story) | more)
    else:
        show(*as_tables(story))
        if args_wanted and not problem:
            show("", facts("arguments, unpickled", [("", f"({text})")]))
    if problem:
        raise Failure(f"the arguments cannot be shown: {problem}")


def story_of_letter(mesh: TaskMesh, task_id: str) -> Story:
    """Return the story of a dead letter, or of a failed task.

    Raises:
        Failure: There is none of that id.
    """
    found = mesh.link.run(whole_record(mesh.link.session, task_id))
    if (
        found is None
        or found.state not in (State.DEAD, State.FAILURE)
        or not (found.outcome or found.envelope)
    ):
        what = "nothing is known of it" if found is None else f"its state is {found.state}"
        if found is not None and found.state in (State.DEAD, State.FAILURE):
            what = "it has been sent again, or dropped"
        raise Failure(f"there is no dead letter {task_id!r} in mesh {mesh.name!r}: {what}")
    return story_of(mesh, task_id, found)


@dead.command(
    "retry",
    epilog=ending(
        examples=["taskmesh dead retry 0193a2… -A app:mesh", "taskmesh dead retry --all --mesh shop"],
        codes=["0 all were sent again", "1 some were not: they stay as they are"],
    ),
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "all_wanted", is_flag=True, help="Every dead letter there is now.")
@target_options()
@json_option
def retry_command(*, ids: tuple[str, ...], all_wanted: bool, target: Target, json_wanted: bool) -> None:
    """Send dead letters again, each as a new message.

    The new message has a new id, the same task, arguments, queue and headers, and names the old one (retry_of); then
    the dead letter is dropped. A failed task (FAILURE) may be named as well: its outcome stays. What cannot be
    verified is not sent again.

    Keys go along: it is not sent again while another message holds its unique key, it joins the end of its sequence,
    and its idempotency key leads to the new message from then on.
    """
    mesh = target.open()
    sent, refused = {}, {}
    for task_id in _meant(mesh, ids, all_wanted=all_wanted):
        try:
            sent[task_id] = send_again(mesh, task_id)
        except Failure as failure:
            refused[task_id] = failure.message
    if json_wanted:
        print_json({"sent_again": sent, "refused": refused})
    else:
        for old, new in sent.items():
            click.echo(f"{old} -> {new}")
        say(f"sent {_counted(len(sent))} again")
    _report(refused, json_wanted=json_wanted)


def _meant(mesh: TaskMesh, ids: Sequence[str], *, all_wanted: bool) -> list[str]:
    if all_wanted == bool(ids):
        raise click.UsageError("name the dead letters, or give --all")
    return list(dict.fromkeys(ids)) or mesh.link.run(dead_ids(mesh.link.session))


def send_again(mesh: TaskMesh, task_id: str) -> str:
    """Send a dead letter again and drop it; return the new id.

    Raises:
        Failure: It was not sent again, and stays as it is.
    """
    link = mesh.link
    story = story_of_letter(mesh, task_id)
    if story.envelope is None:
        raise Failure(f"its message cannot be verified: {story.envelope_problem}")
    functions = {}
    if story.envelope.function:
        content_hash = story.envelope.function
        blob = link.run(plain(link.session, b"GET", keys.function(link.prefix, content_hash)))
        if blob is None:
            raise Failure(f"the function {content_hash} that was sent by value is not on the node any more")
        functions[content_hash.encode()] = blob
    told = (story.envelope.extras or {}).get("keys")
    call_keys = keys_again(story.envelope.task, told, task_id) if told else None
    sender = mesh.portal.sender
    message = sent_again(
        story.envelope,
        story.record,
        task_id=sender.new_id(call_keys.routing if call_keys else None),
        now_ms=link.clock.now_ms(),
        slots=link.session.slots,
        sender=mesh.portal.client_name,
        signer=link.messages,
        keys=call_keys.wire if call_keys else None,
    )
    new_id = message.task_id.decode()
    sent = link.run(enqueue(link.session, [message], functions, patience_s=mesh.settings.send_timeout))
    if sender.broker is not None:
        announce(sender.broker, [message], sent)
    if sent.unknown:
        raise Failure(f"no answer came: it may have been sent again as {new_id} ({sent.unknown[new_id]})")
    if new_id in sent.duplicates:
        raise Failure(
            f"message {sent.duplicates[new_id]} stands for it, which has its unique or idempotency key: see `taskmesh "
            "result`; drop this one, or try again when its key is free"
        )
    if not sent.accepted:
        raise Failure(f"it was not accepted: {sent.rejected[new_id]}")
    if story.record.state is State.DEAD:
        link.run(drop_letters(link.session, [task_id]))
    return new_id


@dead.command(
    "drop",
    epilog=ending(
        examples=[
            "taskmesh dead drop 0193a2… -A app:mesh",
            "taskmesh dead drop --all --yes --mesh shop --json",
        ],
        codes=["0 dropped", "1 not confirmed, or some are no dead letters"],
    ),
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "all_wanted", is_flag=True, help="Every dead letter there is now. Asks first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@target_options()
@json_option
def drop_command(
    *, ids: tuple[str, ...], all_wanted: bool, yes: bool, target: Target, json_wanted: bool
) -> None:
    """Drop dead letters: their messages and stories are removed for good.

    The ids stay known for ten minutes after they died, so that a resend of one is still harmless.
    """
    mesh = target.open()
    meant = _meant(mesh, ids, all_wanted=all_wanted)
    if all_wanted and meant and not yes:
        confirm(f"drop {_counted(len(meant))} of mesh {mesh.name}?")
    verdicts = mesh.link.run(drop_letters(mesh.link.session, meant)) if meant else b""
    dropped = [
        task_id
        for task_id, verdict in zip(meant, verdicts, strict=True)
        if verdict in (DROPPED, _DROPPED_BEFORE)
    ]
    refused = {
        task_id: "nothing is known of it" if verdict == UNKNOWN else "it is no dead letter"
        for task_id, verdict in zip(meant, verdicts, strict=True)
        if verdict not in (DROPPED, _DROPPED_BEFORE)
    }
    if json_wanted:
        print_json({"dropped": dropped, "refused": refused})
    else:
        click.echo(f"dropped {_counted(len(dropped))}")
    _report(refused, json_wanted=json_wanted)


def _report(refused: dict[str, str], *, json_wanted: bool) -> None:
    if refused and not json_wanted:
        for task_id, why in refused.items():
            say(f"{task_id}: {why}")
    if refused:
        click.get_current_context().exit(EXIT_FAILURE)


def _counted(count: int) -> str:
    return f"{count:,} dead letter" + ("" if count == 1 else "s")
