"""Taking addresses apart so that no error shows a part of their passwords."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split_url(url: str) -> SplitResult:
    """Return the parts of an address.

    Raises:
        ValueError: It is none; of a wrong port it is not said what stands there.
    """
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:
        # Its own text quotes what it took for a port: part of a password that has a '/' in it.
        raise ValueError(
            "the port is wrong: expected 0 to 65535 (in a password, write / ? # as %2F %3F %23)"
        ) from None
    return parts
