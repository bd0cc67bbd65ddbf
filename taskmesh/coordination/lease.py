"""Leases: for how long a process may rely on what it holds, and after how long others may take it.

The holder counts from before it sends its renewal, whoever watches it from after he has seen it, each on a clock of his
own that never goes back. So while clocks go at nearly the same rate, a lease is over here before it is over there (Gray
and Cheriton 1989).
"""

#: By how much the rates of two clocks may differ, and what is added for the time that it takes to look.
RHO, MARGIN_S = 0.01, 0.5


def safe_until_s(renewed_s: float, lease_s: float) -> float:
    """Return until when the holder of a lease may rely on it.

    Args:
        renewed_s: Its clock before it sent the renewal that was agreed upon last.
        lease_s: The lease.
    """
    return renewed_s + lease_s * (1 - RHO) - MARGIN_S


def silent_s(lease_s: float) -> float:
    """Return for how long somebody else must have seen the same of its holder, by his clock, to take it for over."""
    return lease_s * (1 + RHO) + MARGIN_S
