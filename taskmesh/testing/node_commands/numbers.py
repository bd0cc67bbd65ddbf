"""Numbers as a node reads and prints them: stricter than Python's, and in another notation."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from taskmesh.testing.node_commands.values import CommandError

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
NOT_A_FLOAT = "ERR value is not a valid float"
NOT_POSITIVE = "ERR value is out of range, must be positive"
NOT_A_BOUND = "ERR min or max is not a float"
NOT_A_LEX_BOUND = "ERR min or max not valid string range item"

_FLOAT = re.compile(rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf(?:inity)?))")
# Beyond this the server no longer takes a whole double through its integer printer.
_WHOLE_MAX = float(INT64_MAX // 2)
_DIGITS_MAX = 18


def parse_int(text: bytes, error: str = NOT_AN_INTEGER) -> int:
    """Read a signed 64-bit integer in its one canonical spelling."""
    try:
        number = int(text)
    except ValueError:
        raise CommandError(error) from None
    # Python also reads "+1", " 1", "01" and "1_0"; a node does not.
    if b"%d" % number != text or not INT64_MIN <= number <= INT64_MAX:
        raise CommandError(error)
    return number


def parse_count(text: bytes) -> int:
    """Read a count, which must not be negative."""
    number = parse_int(text, NOT_POSITIVE)
    if number < 0:
        raise CommandError(NOT_POSITIVE)
    return number


def parse_float(text: bytes, error: str = NOT_A_FLOAT) -> float:
    """Read a double; infinities are allowed when written out."""
    if not _FLOAT.fullmatch(text):
        raise CommandError(error)
    number = float(text)
    if math.isinf(number) and b"n" not in text.lower():
        raise CommandError(error)
    return number


def parse_bound(text: bytes) -> tuple[float, bool]:
    """Read one end of a range of scores; return it and whether it is excluded."""
    if text[:1] == b"(":
        return parse_float(text[1:], NOT_A_BOUND), True
    return parse_float(text, NOT_A_BOUND), False


def parse_lex_bound(text: bytes) -> tuple[bytes, bool]:
    """Read one end of a range of members; return it and whether it is included. Infinite ones are not simulated."""
    if text[:1] not in (b"[", b"("):
        raise CommandError(NOT_A_LEX_BOUND)
    return text[1:], text[:1] == b"["


def format_number(number: float) -> bytes:
    """Print a double as the server does: whole numbers in full, others by their shortest digits."""
    if isinstance(number, int):
        whole: int | None = number
    elif math.isfinite(number) and number == int(number):
        whole = int(number)
    else:
        whole = None
    if whole is not None and abs(whole) <= _WHOLE_MAX:
        return b"%d" % whole
    if math.isnan(number):
        return b"nan"
    if math.isinf(number):
        return b"inf" if number > 0 else b"-inf"
    return _shortest(float(number))


def _shortest(number: float) -> bytes:
    """Lay out the shortest digits the way of fpconv, from which the server has its printer."""
    sign, digit_tuple, power_of_last = Decimal(repr(number)).normalize().as_tuple()
    exponent = int(power_of_last)
    digits = "".join(map(str, digit_tuple))
    count = len(digits)
    magnitude = abs(exponent + count - 1)
    minus = "-" if sign else ""
    if exponent >= 0 and magnitude < count + 7:
        text = digits + "0" * exponent
    elif exponent < 0 and (exponent > -7 or magnitude < 4):
        whole = count + exponent
        text = f"{digits[:whole]}.{digits[whole:]}" if whole > 0 else f"0.{'0' * -whole}{digits}"
    else:
        digits = digits[: _DIGITS_MAX - len(minus)]
        power = exponent + count - 1
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power)}"
    return (minus + text).encode()
