"""What this machine says of itself."""

from pathlib import Path


def boot_id() -> str:
    """Return what is different after each start of this machine; empty where that cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
