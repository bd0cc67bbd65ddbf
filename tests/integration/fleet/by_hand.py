"""The services of docker-compose.yml as plain processes of one machine.

Their commands are taken as the files state them. Replaced is only what a machine without containers cannot have: names
of hosts and places of files, and `tini`, which is process 1 of a container. What is added to a node is what its
container gives it: a folder, and an address of its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.integration.fleet.files import compose, dockerfile, words_of

NODES = ("node-1", "node-2", "node-3")
SCHEDULERS = ("scheduler-1", "scheduler-2")
WORKERS = ("worker-general", "worker-io", "worker-cpu")
#: As docker-compose.yml says it to the Dockerfile.
APP_PATH = "workers/app"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are on this machine.

    Attributes:
        ports: Of each node, and of the probes of each other process.
        data: Folder under which each node has one, which has its name.
        key: The key file.
        files: Folder of the entry configurations.
        program: `taskmesh`.
        server: `valkey-server`.
        client: `valkey-cli`.
    """

    ports: Mapping[str, int]
    data: str
    key: str
    files: str = "workers"
    program: str = "taskmesh"
    server: str = "valkey-server"
    client: str = "valkey-cli"
    services: Mapping[str, dict[str, object]] = field(default_factory=lambda: compose()["services"])

    def node_command(self, name: str) -> list[str]:
        """Return the command of a node."""
        said = [str(word) for word in self._service(name)["command"]]
        assert said.pop(0) == "valkey-server"
        own = ["--port", str(self.ports[name]), "--bind", "127.0.0.1", "--dir", f"{self.data}/{name}"]
        return [self.server, *own, *said]

    def command(self, name: str) -> list[str]:
        """Return the command of a worker or scheduler."""
        entry = words_of(dockerfile()["ENTRYPOINT"][0])
        assert entry == ["tini", "--", "taskmesh"]
        said = [str(word) for word in self._service(name)["command"]]
        return [self.program, *(word.replace("/etc/taskmesh", self.files) for word in said)]

    def health_check(self, name: str) -> list[str]:
        """Return the command of its health check."""
        kind, *words = self._service(name)["healthcheck"]["test"]
        assert kind == "CMD"
        if words[0] == "valkey-cli":
            return [self.client, "-p", str(self.ports[name]), *words[1:]]
        assert words[0] == "taskmesh"
        return [self.program, *words[1:]]

    def environment(self, name: str) -> dict[str, str]:
        """Return the variables of a worker or scheduler."""
        said = dict(self._service(name)["environment"])
        assert self._service(name)["build"]["args"]["APP_PATH"] == APP_PATH
        for node in NODES:
            said["TASKMESH_NODES"] = said["TASKMESH_NODES"].replace(
                f"{node}:6379", f"127.0.0.1:{self.ports[node]}"
            )
        assert said["TASKMESH_PROBES"] == ":8484"
        return {
            **said,
            "TASKMESH_KEY_FILE": self.key,
            "TASKMESH_PROBES": str(self.ports[name]),
            "PYTHONPATH": APP_PATH,  # the image's folder is the app's
        }

    def _service(self, name: str) -> dict:
        return self.services[name if name in self.services else name.rpartition("-")[0]]


#: As README.md has it, for a reader at the top of the checkout.
SHOWN = Places(
    ports={
        **{name: 6401 + at for at, name in enumerate(NODES)},
        **{name: 8481 + at for at, name in enumerate((*SCHEDULERS, *WORKERS))},
    },
    data="data",
    key="secrets/taskmesh.key",
    server='"$server"',
)


def shown(name: str) -> str:
    """Return the line of README.md that starts a process."""
    probes = "" if name in NODES else f"TASKMESH_PROBES={SHOWN.ports[name]} "
    words = SHOWN.node_command(name) if name in NODES else SHOWN.command(name)
    line = " ".join(word if word == SHOWN.server else shlex.quote(word) for word in words)
    return f"{probes}{line} > data/{name}.log 2>&1 & echo $! > data/{name}.pid"


def shown_environment() -> list[str]:
    """Return the lines of README.md that set the variables which all share."""
    said = SHOWN.environment(WORKERS[0])
    del said["TASKMESH_PROBES"]
    # what is relative would be another file in another folder
    in_full = {SHOWN.key: f'"$PWD/{SHOWN.key}"', APP_PATH: f'"$PWD/{APP_PATH}"'}
    return [
        f"export {variable}={in_full.get(value, value)}"
        for variable, value in said.items()
        if value != "mesh"
    ]


if __name__ == "__main__":
    print("\n".join([*shown_environment(), *map(shown, (*NODES, *SCHEDULERS, *WORKERS))]))
