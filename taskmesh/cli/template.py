"""Entry of a worker's template process: it must know the class of apps, which no lower room may."""

import sys

from taskmesh.app import TaskMesh
from taskmesh.worker.template import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], TaskMesh))
