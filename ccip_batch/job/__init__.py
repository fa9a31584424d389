"""The job config: reading it, resolving it, checking it."""
