"""Engines run the graph of a job. They know nothing of CASA."""
