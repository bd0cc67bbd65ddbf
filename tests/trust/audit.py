"""Have every process of a worker report what it imports and which classes its pickles look up.

`sitecustomize` is imported by each Python process before anything else, so the hook stands in the supervisor,
the template and each child alike.
"""

from __future__ import annotations

import os
from pathlib import Path

SITECUSTOMIZE = """
import os, sys

_fd = os.open(os.environ["TASKMESH_TEST_AUDIT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

def _watch(event, arguments):
    if event == "import":
        word = arguments[0]
    elif event == "pickle.find_class":
        word = "%s.%s" % arguments[:2]
    else:
        return
    if isinstance(word, str) and "trust_bomb" in word:
        os.write(_fd, ("%s %s\\n" % (event, word)).encode())

sys.addaudithook(_watch)
"""


class Audit:
    """What the audited processes did with the bomb's module."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "audit"
        self._explosion = folder / "explosion"
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
        self.env = {
            "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "TASKMESH_TEST_AUDIT": str(self._file),
            "TASKMESH_TEST_EXPLOSION": str(self._explosion),
        }

    def is_on(self) -> bool:
        """Tell whether an audited process has begun."""
        return self._file.exists()

    def events(self) -> list[str]:
        """Return what was seen of the bomb: nothing, if all is well."""
        seen = self._file.read_text().splitlines() if self._file.exists() else []
        return seen + (["it exploded"] if self._explosion.exists() else [])
