"""Where an app is, as people type it: `module:attribute`, or a file such as `src/app.py:mesh`."""

from __future__ import annotations

from pathlib import Path

from taskmesh.cli.failure import EXIT_USAGE, Failure
from taskmesh.errors import AppNotFound


def current_folder() -> Path:
    """Return the folder from which apps are imported.

    Raises:
        Failure: It has been deleted.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise Failure(
            "the current folder, from which code is imported, has been deleted; "
            "start the command in one that exists",
            EXIT_USAGE,
        ) from None


def located(app: str, cwd: Path, folder: Path | None = None) -> tuple[str, tuple[str, ...]]:
    """Return `module[:attribute]` of an app, and the folders from which to import it.

    A file is imported from its own folder; one of a package, from the folder that holds the package, so that its
    relative imports work. The folder where the app was named counts before the current one, which is always among
    them, as for `python -m`.

    Args:
        app: As it was typed.
        cwd: The current folder.
        folder: Where it was named: the folder of a settings file; None for the current one.

    Raises:
        AppNotFound: There is no such file, or it cannot be imported under its name.
    """
    named_in = cwd if folder is None else folder
    around = [str(named_in), str(cwd)]
    place, colon, attribute = app.partition(":")
    if "/" not in place and not place.endswith(".py"):
        return app, tuple(dict.fromkeys(around))
    file = (named_in / place).resolve()
    if not place.endswith(".py") and (file.with_name(file.name + ".py")).is_file():
        file = file.with_name(file.name + ".py")
    if not file.is_file():
        raise AppNotFound(f"app {app!r}: there is no file {file}")
    names = [] if file.name == "__init__.py" else [file.stem]
    root = file.parent
    while (root / "__init__.py").is_file() and root != root.parent:
        names.insert(0, root.name)
        root = root.parent
    wrong = next((name for name in names if not name.isidentifier()), None)
    if wrong is not None:
        raise AppNotFound(
            f"app {app!r}: {wrong!r} cannot be the name of a module; rename it to one of letters, digits and _"
        )
    return ".".join(names) + colon + attribute, tuple(dict.fromkeys([str(root), *around]))
