"""The spw group: the spectral windows of one plane of the cube."""

from __future__ import annotations

from dataclasses import dataclass

from ccip_batch.job.problems import shown

SCIENCE_SPWS = tuple(range(2, 18))
"""The S-band spws of VLASS, 16 x 128 MHz from 1.964 to 4.012 GHz; 0 and 1 are X-band pointing spws."""


@dataclass(frozen=True, order=True)
class SpwGroup:
    """One or more spectral windows that are imaged together as one plane."""

    spws: tuple[int, ...]
    """Spectral window ids of the PIMS, in the order given."""

    @classmethod
    def parse(cls, text: str) -> SpwGroup:
        """Read `'3'` or `'3,4'`. Raises ValueError for anything else (ranges, channel selections, repeats)."""
        parts = [part.strip() for part in text.split(",")]
        if not all(part.isascii() and part.isdigit() and len(part) < 5 for part in parts):
            raise ValueError(f"{shown(text)} is not a list of spw numbers such as '3' or '3,4'")
        spws = tuple(int(part) for part in parts)
        if len(set(spws)) != len(spws):
            raise ValueError(f"{shown(text)} names a spw twice")
        return cls(spws)

    @property
    def selection(self) -> str:
        """As CASA selects it: `'3,4'`."""
        return ",".join(str(spw) for spw in self.spws)

    @property
    def label(self) -> str:
        """As in the names of images and products, after `spw`: `'3_4'`."""
        return "_".join(str(spw) for spw in self.spws)

    @property
    def name(self) -> str:
        """As it stands in the names of nodes and folders, padded so that names sort: `'spw03_04'`."""
        return "spw" + "_".join(f"{spw:02d}" for spw in self.spws)


def parse_groups(value: object) -> tuple[SpwGroup, ...]:
    """Read a list of spw groups: `['2', '3,4']`, `[2, ' 3, 4 ']`, or what is SpwGroup already.

    Raises ValueError, naming everything that is wrong: a bare string, a range, a channel selection, an spw that is
    twice in one group or in two, an empty list.
    """
    if not isinstance(value, list | tuple):
        raise ValueError(f"{shown(value)} is not a list; write a list of strings, one a plane, such as ['2', '3,4']")
    if not value:
        raise ValueError("is empty; name at least one spw, or leave the key out for all science spws")
    groups: list[SpwGroup] = []
    wrong: list[str] = []
    seen: dict[int, SpwGroup] = {}
    for item in value:
        try:
            group = _parse_item(item)
        except ValueError as error:
            wrong.append(str(error))
            continue
        groups.append(group)
        for spw in group.spws:
            if spw in seen:
                wrong.append(f"spw {spw} is in two groups, '{seen[spw].selection}' and '{group.selection}'; keep one")
            seen[spw] = group
    if wrong:
        raise ValueError("; ".join(wrong))
    return tuple(groups)


def _parse_item(item: object) -> SpwGroup:
    if isinstance(item, SpwGroup):
        return item
    if isinstance(item, bool) or not isinstance(item, int | str):
        raise ValueError(
            f"{shown(item)} is neither a string nor a whole number; write '2', or '3,4' for one plane of two"
        )
    text = item if isinstance(item, str) else shown(item)
    if ":" in text:
        raise ValueError(f"{shown(text)} selects channels; a plane takes whole spws: {text.split(':')[0].strip()!r}")
    if "~" in text:
        raise ValueError(f"{shown(text)} is a range; {_instead_of_range(text)}")
    return SpwGroup.parse(text)


def _instead_of_range(text: str) -> str:
    first, _, last = text.partition("~")
    try:
        spws = [str(spw) for spw in range(int(first), min(int(last), int(first) + 63) + 1)]
    except ValueError:
        spws = []
    if not spws:
        return "name each spw"
    return f"name each spw, {spws} for a plane each, or [{','.join(spws)!r}] for one plane"
