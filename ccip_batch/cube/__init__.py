"""Cubes, the mean V image and spectra, from exported planes: a run's, or those of the archive. Needs no CASA."""
