"""Entry of a child that is started as a process of its own; see `taskmesh.worker.spawn`."""

import sys

from taskmesh.app import TaskMesh
from taskmesh.worker.spawn import main

if __name__ == "__main__":
    main(sys.argv[1:], TaskMesh)
