"""The steps of an acceptor on a node."""

from taskmesh.core.script import load_script

PREPARE = load_script("taskmesh.consensus", "prepare")
ACCEPT = load_script("taskmesh.consensus", "accept")
PREPARE_ALL = load_script("taskmesh.consensus", "prepare_all")
ACCEPT_ALL = load_script("taskmesh.consensus", "accept_all")
PEEK = load_script("taskmesh.consensus", "peek")
CHANGES = load_script("taskmesh.consensus", "changes")
INIT = load_script("taskmesh.consensus", "init")
SEAL = load_script("taskmesh.consensus", "seal")
EXPORT = load_script("taskmesh.consensus", "export")
DROP = load_script("taskmesh.consensus", "drop")
ADMIT = load_script("taskmesh.consensus", "admit")
RENAME = load_script("taskmesh.consensus", "rename")
LOOK = load_script("taskmesh.consensus", "look")
