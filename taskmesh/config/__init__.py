"""Settings: frozen, each with the source it came from, refused by name when they are wrong.

May import `core` and `errors`. Read `settings.py` first (what can be set), then `sources.py` (where values
are looked for), `values.py` (how a value is read) and `elsewhere.py` (other systems' words).
`arguments.py` is for type checkers.
"""

from taskmesh.config.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
