"""Where the keys of a mesh, or of this account, are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from taskmesh.cli.failure import EXIT_USAGE, Failure
from taskmesh.cli.target import Target
from taskmesh.codec.keyring import Keyring
from taskmesh.config.settings import Settings, load_settings
from taskmesh.nodes.keyfile import account_key_path, load_keyring, missing_key_file, read_key_file

_ACCOUNTS_OWN = "this account's own key"


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where keys come from.

    Attributes:
        file: The key file; None where the key was given as a text.
        text: The text, where that was given.
        source: In words.
    """

    file: Path | None
    text: str | bytes | None
    source: str

    @property
    def is_accounts_own(self) -> bool:
        """Whether it is the file of this account, which is made at first use."""
        return self.source == _ACCOUNTS_OWN

    def read(self) -> Keyring:
        """Return the keys; makes nothing.

        Raises:
            Failure: There is no key file yet.
            ConfigError: It cannot be used.
        """
        if self.file is None:
            return load_keyring(self.text, allow_create=False)
        if not self.file.exists() and self.is_accounts_own:
            raise Failure(
                f"there is no key file {self.file} yet ({self.source}); a mesh on this machine makes it at first use, "
                f"`taskmesh key new --out {self.file}` now"
            )
        if not self.file.exists():
            raise Failure(missing_key_file(self.file))
        return read_key_file(self.file)

    def writable(self) -> Path:
        """Return the file that can be changed.

        Raises:
            Failure: The key is a text.
        """
        if self.file is None:
            raise Failure(
                f"the key is given as a text ({self.source}), and a text cannot be rotated: make a file with `taskmesh "
                "key new --out FILE`, and name it by key_file= or TASKMESH_KEY_FILE",
                EXIT_USAGE,
            )
        return self.file


def key_place(target: Target, file: Path | None) -> KeyPlace:
    """Return where the keys are: a file that was named, else what the settings of the mesh say."""
    if file is not None:
        return KeyPlace(file, None, "--file")
    if target.is_given:
        return place_of(target.load().settings)
    return place_of(load_settings("any", {}, environ=os.environ, cwd="."))


def place_of(settings: Settings) -> KeyPlace:
    """Return where these settings say the keys are."""
    if settings.key is not None:
        return KeyPlace(None, settings.key, settings.source_of("key"))
    if settings.key_file is not None:
        return KeyPlace(Path(settings.key_file).expanduser(), None, settings.source_of("key_file"))
    return KeyPlace(account_key_path(), None, _ACCOUNTS_OWN)
