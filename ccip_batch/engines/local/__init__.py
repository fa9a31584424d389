"""The local engine: nodes as processes of this machine, and the progress on the terminal."""
