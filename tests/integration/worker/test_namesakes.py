"""Two workers of one name are hard to tell apart: the second says so."""

from __future__ import annotations

from tests.faults.scene import Scene


def test_a_worker_says_that_another_has_its_name(scene: Scene) -> None:
    first = scene.worker(1, name="twin")
    assert "another worker named" not in first.said()
    scene.worker(1, name="twin").says("another worker named twin is live (")
    assert f"pid {first.pid})" in first.said()  # both write into one file, by their name


def test_workers_with_names_of_their_own_say_nothing(scene: Scene) -> None:
    scene.worker(1, name="one")
    assert "another worker named" not in scene.worker(1, name="other").said()
