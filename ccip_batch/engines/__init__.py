"""Engines run the graph of a job: on this machine, or in a pool. They know nothing of CASA."""
