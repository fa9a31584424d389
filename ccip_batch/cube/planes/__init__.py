"""Exported planes: finding their files, reading their headers and pixels, their noise."""
