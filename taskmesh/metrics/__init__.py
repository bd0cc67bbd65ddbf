"""What can be seen of a process from outside: probes over HTTP, and metrics for Prometheus.

`catalogue` has every metric. A child counts in a `sheet` of the page that it shares with its supervisor; `tally` adds
up what all children have counted, those that are dead, too; `mesh_values` asks the nodes; `exposition` writes it
down, and `server` serves it. Imports `nodes` and what is below. Knows no worker: see `worker/probes.py`.
"""
