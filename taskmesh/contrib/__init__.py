"""Bridges to other people's libraries, each an extra that is installed by its name: `pip install '.[opentelemetry]'`.

May import everything but the faces (`cli`, `dashboard`); nothing of TaskMesh imports it, so who does not want a bridge
pays nothing for it. Read `opentelemetry/__init__.py` first.
"""
