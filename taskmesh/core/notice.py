"""A notice: the outcomes of one commit that one client process waits for, in one publication.

Each is preceded by its length as 8 hex digits, which is how the scripts join them. One of no bytes says that there is
an outcome which is too large to be told: who waits reads what he waits for.
"""

from __future__ import annotations

from collections.abc import Iterator

from taskmesh.errors import Malformed

#: What stands in place of an outcome that is to be read.
TOO_LARGE = b""


def split_notice(payload: bytes) -> Iterator[bytes]:
    """Yield the outcomes of a notice, still signed.

    Raises:
        Malformed: A length is not hex, or reaches past the end.
    """
    at, end = 0, len(payload)
    while at < end:
        try:
            stop = at + 8 + int(payload[at : at + 8], 16)
        except ValueError as error:
            raise Malformed(f"notice with a length of {payload[at : at + 8]!r}") from error
        if stop > end:
            raise Malformed(f"notice cut short: {stop - end} bytes are missing")
        yield payload[at + 8 : stop]
        at = stop
