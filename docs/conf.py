"""How Sphinx builds the site: `make docs`."""

from __future__ import annotations

import re
from typing import Any

from taskmesh.core.version import VERSION

project = "TaskMesh"
author = "The TaskMesh authors"
release = version = VERSION
html_title = f"TaskMesh {VERSION}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
# anchors as on GitHub, where these documents are read as well
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_static_path: list[str] = []

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")


def code_as_code(*event: Any) -> None:
    """Docstrings write code as Markdown does, in single backticks, which is something else to Sphinx."""
    lines: list[str] = event[-1]
    lines[:] = [_CODE.sub(r"``\1``", line) for line in lines]


def setup(app: Any) -> None:
    """Have the docstrings read."""
    app.connect(
        "autodoc-process-docstring", code_as_code, priority=400
    )  # before napoleon takes colons for types
