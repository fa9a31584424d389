"""The graph of a job, and what its nodes need."""
