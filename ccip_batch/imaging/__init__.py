"""What stages share about planes: cleaning, checkpoints, pictures and samples, rejection, positions."""
