"""The only door to CASA (casatools, casatasks): session, speed, what it holds on the disk, whether it did its work."""
