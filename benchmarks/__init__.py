"""How fast TaskMesh is: each row of its budget, and the same figures of its peers. See README.md."""
