"""Spectra at positions, and the tables of positions that people bring."""
