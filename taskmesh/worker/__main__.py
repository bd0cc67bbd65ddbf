"""A supervisor: `python -m taskmesh.worker OPTIONS`. Counts signals before it imports what it needs."""

import sys

from taskmesh.worker.early import record

if __name__ == "__main__":
    record()
    from taskmesh.worker.supervisor import main

    sys.exit(main(sys.argv[1:]))
