"""The spw group: what makes one plane of the cube."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class SpwGroup:
    """One or more spectral windows that are imaged together as one plane."""

    spws: tuple[int, ...]
    """Spectral window ids of the PIMS, in the order given."""

    @classmethod
    def parse(cls, text: str) -> SpwGroup:
        """Read `'3'` or `'3,4'`. Raises ValueError for anything else (ranges, channel selections, repeats)."""
        parts = [part.strip() for part in text.split(",")]
        if not all(part.isascii() and part.isdigit() for part in parts):
            raise ValueError(f"{text!r} is not a list of spw numbers such as '3' or '3,4'")
        spws = tuple(int(part) for part in parts)
        if len(set(spws)) != len(spws):
            raise ValueError(f"{text!r} names a spw twice")
        return cls(spws)

    @property
    def selection(self) -> str:
        """As CASA selects it: `'3,4'`."""
        return ",".join(str(spw) for spw in self.spws)

    @property
    def label(self) -> str:
        """As it stands in the names of images and products, behind `spw`: `'3_4'`."""
        return "_".join(str(spw) for spw in self.spws)

    @property
    def name(self) -> str:
        """As it stands in the names of nodes and folders, padded so that names sort: `'spw03_04'`."""
        return "spw" + "_".join(f"{spw:02d}" for spw in self.spws)
