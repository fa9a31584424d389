"""The run folder: what is in it, what is done, what is left to do."""
