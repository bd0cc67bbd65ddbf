"""How far a mesh of many nodes should reach: reckoned from what single operations cost.

Read `costs.py` (what is measured, what is assumed) first, then `model.py` (one size), `fail_over.py`, `page.py`.
"""
