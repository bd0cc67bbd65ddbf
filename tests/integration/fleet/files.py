"""What the files of a fleet say, read as the programs would that they are written for."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
WORKERS = ROOT / "workers"
KUBERNETES = WORKERS / "kubernetes"
UNITS = tuple(sorted((WORKERS / "systemd").glob("*.service")))


def compose(environ: dict[str, str] | None = None) -> dict[str, Any]:
    """Return docker-compose.yml, with variables filled in as `${NAME:-default}` says."""
    text = re.sub(
        r"\$\{(\w+):-([^}]*)\}",
        lambda match: (environ or {}).get(match[1]) or match[2],
        (ROOT / "docker-compose.yml").read_text(),
    )
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def dockerfile() -> dict[str, list[str]]:
    """Return the instructions of the last stage, by name: each a list of what stands behind it."""
    text = (WORKERS / "Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found = {}
        if word.isupper() and word.isalpha():
            found.setdefault(word, []).append(rest.strip())
    return found


def words_of(instruction: str) -> list[str]:
    """Return the words of an instruction in its JSON form, what stands before them left out."""
    found: list[str] = json.loads(instruction[instruction.index("[") :])
    return found


@cache
def manifests() -> list[dict[str, Any]]:
    """Return what kustomize would send to Kubernetes, but for what it makes itself."""
    named = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [document for name in named for document in yaml.safe_load_all((KUBERNETES / name).read_text())]


@cache
def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """Return the manifests of a kind, by name."""
    return {found["metadata"]["name"]: found for found in manifests() if found["kind"] == kind}


def container_of(deployment: dict[str, Any]) -> dict[str, Any]:
    """Return the only container of a deployment."""
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return found


def unit(path: Path) -> dict[str, list[str]]:
    """Return the [Service] of a unit: each key with all its values."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def command_of(path: Path, instance: str = "") -> list[str]:
    """Return the command of a unit."""
    (found,) = unit(path)["ExecStart"]
    return [word.replace("%i", instance) for word in shlex.split(found)]


def seconds(text: str) -> float:
    """Return a duration as systemd and compose write it."""
    number, of = re.fullmatch(r"(\d+)(s|m|min)?", text).groups()  # type: ignore[union-attr]
    return float(number) * (60 if of in {"m", "min"} else 1)


def grace_s(name: str) -> float:
    """Return how long running tasks may finish, by the file of a kind of worker; nothing runs in a scheduler."""
    found = tomllib.loads((WORKERS / name).read_text())
    return float(found.get("worker", {}).get("grace", 0))


def file_of(words: list[str]) -> str:
    """Return the name of the file that a command is given by --config."""
    return Path(words[words.index("--config") + 1]).name
