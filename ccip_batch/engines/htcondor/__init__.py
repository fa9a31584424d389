"""The HTCondor engine: what a pool is given, what runs around its jobs, and what it says of them."""
