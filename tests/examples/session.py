"""Runs the Python blocks of a document one after the other, as if they were typed: `python session.py < blocks.json`.

In a Python block `await` may stand at the top level, as in a notebook. Each block comes as a list [kind, line, text];
after each, a line of JSON tells what it printed or how it failed.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import sys
import traceback
from typing import Any


def statements(text: str) -> list[tuple[str, list[str]]]:
    """Return what was typed at each prompt of a session, and what it shows below."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith((">>> ", ">>>")) and not line.startswith(">>>>"):
            found.append((line[4:], []))
        elif found and line.startswith("...") and not found[-1][1] and line[3:4] in ("", " "):
            found[-1] = (f"{found[-1][0]}\n{line[4:]}", [])
        elif found and line.strip():
            found[-1][1].append(line)
    return found


def run(kind: str, text: str, names: dict[str, Any], file: str) -> list[dict[str, Any]]:
    """Run a block and return what each of its statements printed."""
    if kind != "pycon":
        code = compile(text, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with contextlib.redirect_stdout(sys.stderr):
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(eval(code, names))
            else:
                exec(code, names)
        return []
    told = []
    for typed, shown in statements(text):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                exec(compile(typed + "\n", file, "single"), names)
            except Exception as error:
                if not any("Traceback" in line for line in shown):
                    raise
                out.write("Traceback (most recent call last):\n...\n")
                out.write("".join(traceback.format_exception_only(error)))
        told.append({"typed": typed, "shown": shown, "printed": out.getvalue()})
    return told


def main() -> int:
    """Read, run, tell."""
    names: dict[str, Any] = {"__name__": "__session__"}
    sys.path.insert(0, "")
    for line in sys.stdin:
        kind, at, text = json.loads(line)
        try:
            told: dict[str, Any] = {"told": run(kind, text, names, f"block of line {at}")}
        except BaseException:  # noqa: BLE001 - told to the test
            told = {"failed": traceback.format_exc()}
        sys.__stdout__.write(json.dumps(told) + "\n")
        sys.__stdout__.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
