"""VLASS coarse-cube imaging (CCIP) as a batch application."""

__version__ = "0.1.0"
