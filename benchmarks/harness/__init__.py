"""What both runs share: servers, processes, time stamps, a quiet machine. Standard library only.

The measuring process of a peer runs in the peer's own environment, where nothing else is installed.
"""
