"""Thumbnails of a folder of pictures, in parallel, with a live count.

Needs Pillow: pip install pillow. Run it: python examples/06_thumbnails.py [FOLDER]
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from taskmesh import TaskMesh

mesh = TaskMesh("thumbnails", embedded="private")


@mesh.task
def thumbnail(source: str, target: str, size: int = 128) -> tuple[int, int]:
    """Write a thumbnail, and return its width and height."""
    with Image.open(source) as picture:
        picture.thumbnail((size, size))
        picture.convert("RGB").save(target, "JPEG", quality=85)
        return picture.size


def make_pictures(folder: Path, count: int) -> None:
    """Paint some pictures, for those who have none at hand."""
    for number in range(count):
        colour = (37 * number % 256, 91 * number % 256, 151 * number % 256)
        Image.new("RGB", (800, 400 + 10 * number), colour).save(folder / f"picture-{number:02}.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, mesh.workers(2):
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch)
        if len(sys.argv) == 1:
            make_pictures(folder, 20)
        (folder / "thumbnails").mkdir(exist_ok=True)
        pictures = sorted(path for path in folder.iterdir() if path.suffix in (".png", ".jpg", ".jpeg"))
        calls = [(str(path), str(folder / "thumbnails" / f"{path.stem}.jpg")) for path in pictures]
        sizes = thumbnail.starmap(calls).get(timeout=120)
        made = len(list((folder / "thumbnails").glob("*.jpg")))
        print(f"{made} thumbnails, none wider than {max(width for width, _ in sizes)}")
    mesh.close()
