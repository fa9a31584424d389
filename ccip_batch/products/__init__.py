"""FITS products: their names and headers, and where they come from."""
