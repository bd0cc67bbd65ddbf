"""Names of schedules, of their registers and of their firings."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b

from taskmesh.core.ids import TASK_ID_LENGTH_MAX
from taskmesh.core.printable import shown
from taskmesh.errors import UsageError

#: How many registers say up to when everything was enqueued; a schedule's name says which is its own.
SHARDS = 64
#: With `@` and the longest moment behind it, such as 2026-03-29T01:00:00.500Z, a name makes a task id.
SCHEDULE_NAME_LENGTH_MAX = TASK_ID_LENGTH_MAX - 25
_REGISTERS = "sched/"


def check_schedule_name(name: object) -> str:
    """Return the name of a schedule.

    Raises:
        UsageError: It is none: 1 to 175 printable ASCII characters without space and `@`, the first of them no `-`.
    """
    if (
        isinstance(name, str)
        and 1 <= len(name) <= SCHEDULE_NAME_LENGTH_MAX
        and name.isascii()
        and name.isprintable()
        and not set(" @") & set(name)
        and not name.startswith("-")
    ):
        return name
    raise UsageError(
        f"the name of a schedule is {shown(name)}: expected 1 to {SCHEDULE_NAME_LENGTH_MAX} printable ASCII characters "
        "without space and '@', and no '-' at the beginning, as a firing's id is made of it"
    )


def schedule_register(name: str) -> str:
    """Return the register that holds a schedule's definition."""
    return _REGISTERS + name


def schedule_of_register(register: str) -> str | None:
    """Return the schedule whose definition a register holds; None when it holds something else."""
    return register[len(_REGISTERS) :] if register.startswith(_REGISTERS) else None


def shard_of(name: str) -> int:
    """Return the number of the cursor of a schedule, 0 to 63."""
    return int.from_bytes(blake2b(name.encode(), digest_size=2).digest(), "big") % SHARDS


def firing_id(name: str, nominal_ms: int) -> str:
    """Return the task id of a firing: whoever makes it, the same, so that it is enqueued once.

    Args:
        name: Of the schedule.
        nominal_ms: When the schedule says that it fires, Unix time; before the year 10000.
    """
    seconds, rest_ms = divmod(nominal_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{name}@{moment}.{rest_ms:03}Z" if rest_ms else f"{name}@{moment}Z"


def read_firing_id(task_id: str) -> tuple[str, int] | None:
    """Return schedule and nominal moment of a firing's id; None when it is another id."""
    name, _, text = task_id.rpartition("@")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not name or moment.tzinfo is None:
        return None
    nominal_ms = round(moment.timestamp() * 1000)
    return (name, nominal_ms) if firing_id(name, nominal_ms) == task_id else None
