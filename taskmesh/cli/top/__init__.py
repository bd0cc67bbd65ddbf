"""`taskmesh top`: a mesh in one screen of a terminal, a second old at most.

`watching.py` reads in threads, `tally.py` counts events, `state.py` knows what is chosen and what keys do, `frame.py`
draws, `terminal.py` owns the terminal, `command.py` holds them together.
"""
