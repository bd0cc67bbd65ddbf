"""What a mesh of several nodes costs and how long a loss takes: `python -m benchmarks.mesh`."""
