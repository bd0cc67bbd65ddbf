"""What a worker tells of itself when it registers: its name, its queues, its process. JSON, and not signed."""

from __future__ import annotations

import json
from typing import Any


def read_about(info: bytes | None) -> dict[str, Any]:
    """Return what a worker told of itself; nothing if it cannot be read, for anybody may have written there."""
    try:
        about = json.loads(info or b"{}")
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}
