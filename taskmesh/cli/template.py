"""Entry of a worker's template process: it must know the class of apps, which no lower room may."""

import sys

from taskmesh.app import TaskMesh
from taskmesh.worker.process import exit_after
from taskmesh.worker.template import main

if __name__ == "__main__":
    # threads that the app's import started must not keep the process
    exit_after(lambda: main(sys.argv[1:], TaskMesh))
