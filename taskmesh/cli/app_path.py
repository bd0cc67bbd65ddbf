"""Where an app is, as people type it: `module:attribute`, or a file such as `src/app.py:mesh`."""

from __future__ import annotations

from pathlib import Path

from taskmesh.errors import AppNotFound


def located(app: str, cwd: Path) -> tuple[str, tuple[str, ...]]:
    """Return `module[:attribute]` of an app, and the folders from which to import it.

    A file is imported from its own folder; one of a package, from the folder that holds the package, so that its
    relative imports work. The current folder is always among them, as for `python -m`.

    Args:
        app: As it was typed.
        cwd: The current folder.

    Raises:
        AppNotFound: There is no such file, or it cannot be imported under its name.
    """
    place, colon, attribute = app.partition(":")
    if "/" not in place and not place.endswith(".py"):
        return app, (str(cwd),)
    file = (cwd / place).resolve()
    if not place.endswith(".py") and (file.with_name(file.name + ".py")).is_file():
        file = file.with_name(file.name + ".py")
    if not file.is_file():
        raise AppNotFound(f"app {app!r}: there is no file {file}")
    names = [] if file.name == "__init__.py" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        names.insert(0, folder.name)
        folder = folder.parent
    wrong = next((name for name in names if not name.isidentifier()), None)
    if wrong is not None:
        raise AppNotFound(
            f"app {app!r}: {wrong!r} cannot be the name of a module; rename it to one of letters, digits and _"
        )
    folders = dict.fromkeys([str(folder), str(cwd)])
    return ".".join(names) + colon + attribute, tuple(folders)
