"""What starts a worker, as commands advise it."""

from __future__ import annotations

import pytest

from taskmesh.cli.target import Target


@pytest.mark.parametrize(
    ("target", "command"),
    [
        (Target(app="app:mesh"), "taskmesh worker app:mesh -Q mail"),
        (Target(app="src/app.py"), "taskmesh worker src/app.py -Q mail"),
        (Target(app="app", path=("/a", "/b")), "taskmesh worker app --path /a --path /b -Q mail"),
        (Target(app="app", folder="/above"), "taskmesh worker -Q mail"),
    ],
)
def test_an_app_is_served_as_the_command_itself_found_it(target, command):
    assert target.worker_command("shop", "mail") == command
    assert target.worker_command("shop") == command.removesuffix(" -Q mail")


def test_a_name_alone_serves_only_what_is_sent_by_value():
    """A worker without the app would park every message of a task that is known by name."""
    command = Target(mesh="shop").worker_command("shop", "mail")
    assert command.startswith("taskmesh worker APP -Q mail ")
    assert "--mesh shop" in command
    assert "by value only" in command
