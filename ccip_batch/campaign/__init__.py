"""Many square degrees as one campaign: its config and table, the outer DAG, and what became of each square."""
