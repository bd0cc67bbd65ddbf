"""Places with a network of their own each, which the kernel keeps apart: their cables are pulled, their routes cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

#: CAP_NET_ADMIN and CAP_SYS_ADMIN: without them root is none.
CAPABILITIES = 1 << 12 | 1 << 21


def may_found() -> bool:
    """Tell whether this process is such a root as may do this."""
    status = Path("/proc/self/status")
    if os.geteuid() != 0 or not status.exists():
        return False
    has = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    return int(has.split()[1], 16) & CAPABILITIES == CAPABILITIES


class Country:
    """So many places, with a cable from each to a switch in the midst, at which this process is, too."""

    def __init__(self, count: int) -> None:
        """Found it; whoever may, and cannot, has an error."""
        if not may_found():
            pytest.skip("only root (CAP_NET_ADMIN, CAP_SYS_ADMIN, on Linux) may make network namespaces")
        if not shutil.which("ip"):
            pytest.skip("there is no program `ip` (iproute2) to make network namespaces with")
        self._name = f"tm{os.getpid() % 10**6}"
        self._net = f"10.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
        self.count = count
        try:
            self._found()
        except subprocess.CalledProcessError:
            self.close()
            raise

    def _found(self) -> None:
        switch = f"{self._name}s"
        _ip(f"link add {switch} type bridge")
        _ip(f"addr add {self._net}.254/24 dev {switch}")
        _ip(f"link set {switch} up")
        for place in range(self.count):
            name, plug = self._place(place), self._plug(place)
            _ip(f"netns add {name}")
            _ip(f"link add {plug} type veth peer name cable netns {name}")
            _ip(f"link set {plug} master {switch} up")
            _ip(f"-n {name} addr add {self.host(place)}/24 dev cable")
            _ip(f"-n {name} link set cable up")
            _ip(f"-n {name} link set lo up")

    def _place(self, place: int) -> str:
        return f"{self._name}n{place}"

    def _plug(self, place: int) -> str:
        return f"{self._name}p{place}"

    def host(self, place: int) -> str:
        """Return the address of a place."""
        return f"{self._net}.{place + 1}"

    def within(self, place: int) -> Sequence[str]:
        """Return the words before a command that is to run there."""
        return ("ip", "netns", "exec", self._place(place))

    # -- harm -----------------------------------------------------------------------

    def pull(self, place: int) -> None:
        """Pull the cable of a place: it reaches nobody, and nobody reaches it."""
        _ip(f"-n {self._place(place)} link set cable down")

    def plug_in(self, place: int) -> None:
        """Undo that."""
        _ip(f"-n {self._place(place)} link set cable up")

    def cut(self, place: int, others: Sequence[int]) -> None:
        """Have nothing come from a place to some others; the rest it reaches."""
        for other in others:
            _ip(f"-n {self._place(place)} route add blackhole {self.host(other)}/32")

    def mend(self, place: int, others: Sequence[int]) -> None:
        """Undo that."""
        for other in others:
            _ip(f"-n {self._place(place)} route del blackhole {self.host(other)}/32")

    def mute(self, place: int) -> None:
        """Have nothing come from a place to anybody, while all that is sent to it arrives."""
        for half in (0, 128):
            _ip(f"-n {self._place(place)} route add blackhole {self._net}.{half}/25")

    def unmute(self, place: int) -> None:
        """Undo that."""
        for half in (0, 128):
            _ip(f"-n {self._place(place)} route del blackhole {self._net}.{half}/25")

    def close(self) -> None:
        """Remove all of it, as far as it exists."""
        for place in range(self.count):
            # first: a place lives on for as long as a connection does that was cut
            _ip(f"link del {self._plug(place)}", check=False)
            _ip(f"netns del {self._place(place)}", check=False)
        _ip(f"link del {self._name}s", check=False)


def _ip(words: str, *, check: bool = True) -> None:
    subprocess.run(["ip", *words.split()], check=check, capture_output=not check, timeout=90)
