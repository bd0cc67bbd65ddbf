"""What checkers raise."""


class BrokenPromise(AssertionError):
    """Something that must never be; the text begins with the name of the promise."""
