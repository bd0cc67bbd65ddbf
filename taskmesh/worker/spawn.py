"""A child that is a process of its own: it imports the app itself, then lives as forked ones do."""

from __future__ import annotations

import logging
import signal
from typing import NoReturn

import msgspec

from taskmesh.errors import TaskMeshError
from taskmesh.worker.child import child_main
from taskmesh.worker.early import let
from taskmesh.worker.host import App
from taskmesh.worker.logs import set_up_app_logging, set_up_logging
from taskmesh.worker.options import EXIT_CANNOT_START, ChildOrder, WorkerOptions
from taskmesh.worker.process import die_with_parent, exit_after
from taskmesh.worker.template import build_of, find_mesh

log = logging.getLogger("taskmesh.worker")


def main(argv: list[str], kind: type[App]) -> NoReturn:
    """Run a child: `python -m taskmesh.cli.child OPTIONS ORDER BUILD PAGE PARENT`.

    Args:
        argv: The worker's options and the child's order as JSON, the build that the supervisor knows of, the
            descriptor of the page, the supervisor's process id.
        kind: The class of apps.
    """
    # a whole life inside: threads of the app must not keep the process after it
    exit_after(lambda: _live(argv, kind))


def _live(argv: list[str], kind: type[App]) -> int:
    options = msgspec.json.decode(argv[0], type=WorkerOptions)
    order = msgspec.json.decode(argv[1], type=ChildOrder)
    die_with_parent(int(argv[4]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    let()
    set_up_logging(options.log_level, options.log_format)
    try:
        mesh = find_mesh(options, kind)
    except TaskMeshError as error:
        log.error("a child of worker %s cannot start: %s", order.worker, error)  # noqa: TRY400 - said plainly
        return EXIT_CANNOT_START
    except BaseException:
        # the app's own import may raise anything
        log.exception("a child of worker %s cannot import %s", order.worker, options.app)
        return EXIT_CANNOT_START
    set_up_app_logging(mesh.settings, options.log_level, options.log_format)
    build = build_of(mesh)
    if build != argv[2].encode():
        log.warning(
            "the app has changed since worker %s was started: a new child runs build %s", order.worker, build
        )
    return child_main(mesh, order, build, int(argv[3]))
