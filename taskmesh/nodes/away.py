"""Whether a connection failed because nobody is there yet, or because of what somebody answered."""

from __future__ import annotations


def is_away(error: BaseException) -> bool:
    """Tell whether a connection can be had later, with nothing changed by anybody: the server starts, or hangs.

    Args:
        error: By which making a connection failed, of any kind.
    """
    from redis import exceptions

    if isinstance(error, (exceptions.AuthenticationError, exceptions.AuthorizationError)):
        return False
    # the library puts its own errors in the place of the system's
    reason = error if isinstance(error, OSError) else error.__context__
    if isinstance(reason, PermissionError) or _is_refusal_of_tls(reason):
        return False
    return isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, OSError, EOFError))


def _is_refusal_of_tls(reason: BaseException | None) -> bool:
    """Tell whether the two ends do not trust or understand each other; a connection that just ends says neither."""
    if reason is None or not isinstance(reason, OSError):
        return False
    import ssl

    return isinstance(reason, ssl.SSLError) and not isinstance(
        reason, (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    )
