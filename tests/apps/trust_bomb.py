"""What a forged pickle would reach: importing this module is the explosion that the tests look for.

An honest message may bring `Parcel`, which shows that the watch would have seen the bomb.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path


def explode() -> None:
    """Leave a trace that no audit hook is needed to see."""
    trace = os.environ.get("TASKMESH_TEST_EXPLOSION")
    if trace:
        Path(trace).touch()


class Parcel:
    """Unpickling it imports this module, as a bomb would."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parcel)

    __hash__ = None


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[()]]:
        return explode, ()


#: Loading it calls `explode`.
BOMB = pickle.dumps(_Bomb(), 5)
