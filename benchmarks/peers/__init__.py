"""TaskMesh beside its peers: one machine, one server, one task, one method, in one run. See ../README.md."""
