"""One module per peer: its task, its producer, its worker command. Each runs in that peer's environment."""
