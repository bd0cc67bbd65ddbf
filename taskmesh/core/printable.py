"""Text from elsewhere, made so that it can steer neither a terminal nor a log."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return a text with all that cannot be printed escaped, such as `\x1b`; line breaks stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def in_one_line(text: str) -> str:
    r"""Return a text with all that cannot be printed escaped, line breaks as `\n`."""
    return printable(text).replace("\n", "\\n")


def shown(value: object) -> str:
    """Return a value as an error message quotes it; its `repr` may raise anything."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - a list that holds itself, a number of 5000 digits, code of the caller
        return f"a {type(value).__name__} that cannot be shown"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
