"""`taskmesh demo`: the story of one run."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from taskmesh.cli.demo.alone import Alone, AloneFailed, run_alone
from taskmesh.cli.demo.files import python_files, standard_library, warm
from taskmesh.cli.demo.on_mesh import run_on_mesh
from taskmesh.cli.demo.progress import showing
from taskmesh.cli.demo.report import Run, as_json, print_tables
from taskmesh.cli.demo.stopping import Stopped, Stopping
from taskmesh.config.settings import SETTINGS
from taskmesh.errors import TaskMeshError
