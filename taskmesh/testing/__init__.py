"""Public test doubles: nodes in memory which run the real scripts, and a network and a clock made of a seed.

May import everything but the faces (`cli`, `dashboard`); only tests, and commands for tests, import it.
Importing it loads nothing: `simulated_node` and `simulated_driver` need `lupa`, which `pip install
'.[test]'` brings. Read `simulated_node.py` first, then `simulated_driver.py`.
"""
