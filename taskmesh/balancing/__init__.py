"""From which queue a worker takes its next messages: strategies, and what they are told. Pure: no clock, no chance.

Imports `config` and `errors` only. A strategy orders a worker's sources before each claim; it places nothing. Read
`sources.py` first (what a strategy is told), then `strategy.py` (what it answers), the strategies themselves
(`plain.py`, `weighted.py`, `longest.py`), and `balance.py`: what a child keeps between its claims.

What is named here is what other packages need that add strategies of their own.
"""

from taskmesh.balancing.sources import Chance, Load, Loads, Source
from taskmesh.balancing.strategy import Strategy

__all__ = ["Chance", "Load", "Loads", "Source", "Strategy"]
