"""`taskmesh top`: a mesh in one screen of a terminal, a second old at most.

`watching.py` reads in threads, `seen.py` is one look, `tally.py` counts events; `state.py` knows what is chosen and
what keys do, `acts.py` does it; `frame.py` draws (`parts.py` the mesh, `letters.py` dead letters, both by `table.py`);
`terminal.py` owns the terminal, `command.py` holds all of it together.
"""
