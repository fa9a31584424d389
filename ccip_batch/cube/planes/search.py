"""Which files of a folder are planes, by their names; and what looks like a plane and is not taken, with the reason."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ccip_batch.cube.planes.spw_ranges import from_ranges
from ccip_batch.errors import DataError

_NAME = re.compile(
    r"(?P<image>.+)\.spw(?P<group>\d+(?:[_,+]\d+)*)\.(?P<pol>IQU|V)\.iter3\.image\.pbcor\.tt0(?P<rms>\.rms)?"
    r"\.subim(?P<com>\.com)?\.fits(?P<packed>\.gz|\.fz)?",
    re.IGNORECASE,
)
_FORM = "<imagename>.spw<group>.{kind}.iter3.image.pbcor.tt0.subim.fits"
_PACKED = (None, ".fz", ".gz")
"""What is taken first, where a plane is there several times."""
_LIKE = re.compile(r"[^.].*spw.*\.(?:fits?|fts)\b", re.IGNORECASE | re.DOTALL)
_OTHER_KINDS = re.compile(r"\.(?:pb|psf|residual|model|mask|alpha|sumwt|weight|tt[1-9])\.", re.IGNORECASE)
"""Images of a spectral window that are not planes."""


class NoPlanesError(DataError):
    """A folder without planes."""

    def __init__(self, message: str, passed_over: Sequence[str]) -> None:
        super().__init__(" ".join([message, *passed_over]))
        self.passed_over = passed_over
        """What looks like a plane, and why it is not taken."""


@dataclass(frozen=True)
class Named:
    """A file whose name is that of a plane."""

    path: Path
    match: re.Match[str]

    @property
    def image(self) -> str:
        """The imagename."""
        return self.match["image"]

    @cached_property
    def group(self) -> str:
        """Spectral windows in order, joined by `_`; names have them joined by commas too."""
        return "_".join(str(spw) for spw in sorted(int(spw) for spw in re.split(r"\D", self.match["group"])))

    @property
    def common(self) -> bool:
        """Whether it is convolved to the beam of all planes (`.com`)."""
        return self.match["com"] is not None

    @property
    def rank(self) -> tuple[bool, int, str]:
        """The file that is taken has the least: the plane itself, and not compressed."""
        packed = self.match["packed"]
        return self.common, _PACKED.index(packed.lower() if packed else None), self.path.name


@dataclass(frozen=True)
class Found:
    """The files of a plane."""

    image: Named
    rms: Named | None


def search(
    folder: Path, polarisation: str, spws: Sequence[str] | None, tell_common: bool
) -> tuple[list[Found], list[str]]:
    """The planes of a folder, and sentences on files that look like planes and are not taken.

    polarisation: `IQU` or `V`. spws: only these groups. tell_common: say how many common-beam files are beside the
    planes. Raises NoPlanesError, and DataError if a group of `spws` is not there or the folder holds several images.
    """
    named, passed_over = _named(folder, polarisation)
    images = [one for one in named if not one.match["rms"]]
    if spws is not None and images:
        wanted = selected_groups(spws, {one.group for one in images})
        _require(wanted, images, folder)
        named = [one for one in named if one.group in wanted]
        images = [one for one in images if one.group in wanted]
    if not images:
        named_so = _FORM.format(kind=polarisation)
        raise NoPlanesError(
            f"{folder} holds no plane named {named_so}. Name a run folder, or the folder that the planes are in.",
            passed_over,
        )
    names = sorted({one.image for one in images})
    if len(names) > 1:
        raise DataError(
            f"{folder} holds planes of {len(names)} images: {', '.join(names)}. Give each image a folder of its own."
        )
    found = []
    for group in dict.fromkeys(one.group for one in images):
        image = min((one for one in images if one.group == group), key=lambda one: one.rank)
        noise = [one for one in named if one.match["rms"] and one.group == group and one.common == image.common]
        found.append(Found(image, min(noise, key=lambda one: one.rank, default=None)))
    return found, [*passed_over, *_left(named, found, tell_common)]


def selected_groups(spws: Sequence[str], there: Collection[str]) -> list[str]:
    """The groups that a user means, as file names have them (`3_4`).

    there: the groups there are. What is one of them as a whole (`3,4`, `3~4` as in the headers) is that group; else a
    comma or a range joins several: `2,3,4`, `2~9`, `2,3_4`. What is no group stays as it is, for the message.
    """
    groups: list[str] = []
    for spw in spws:
        text = spw.replace(" ", "")
        windows = [window for part in text.split(",") for window in _windows(part)]
        whole = "_".join(windows)
        groups += [whole] if whole in there else windows
    return list(dict.fromkeys(groups))


def _windows(part: str) -> list[str]:
    try:
        return [str(spw) for spw in from_ranges(part)] if "~" in part else [part]
    except ValueError:
        return [part]


def _named(folder: Path, polarisation: str) -> tuple[list[Named], list[str]]:
    """Files with the name of a plane of this kind, and what is said of those that only look like one."""
    named, passed_over = [], []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match and path.is_file():
            if match["pol"].upper() == polarisation:
                named.append(Named(path, match))
        elif _LIKE.match(path.name) and not _OTHER_KINDS.search(path.name):
            kind = "V" if ".v." in path.name.lower() else "IQU"
            if kind == polarisation:
                name = path.name if path.name.isprintable() else ascii(path.name)
                passed_over.append(f"{name} is not taken: {_reason(path, polarisation)}.")
    return named, passed_over


def _reason(path: Path, polarisation: str) -> str:
    if path.is_dir():
        return "it is a folder"
    if not path.exists():
        return "it is a link to nothing; copy the file itself"
    if not path.is_file():
        return "it is no file with data; copy the file itself"
    if not path.name.isprintable():
        return "its name has a character that cannot be printed; rename it"
    if not path.name.lower().endswith((".fits", ".fits.gz", ".fits.fz")):
        return "its name does not end in .fits, .fits.gz or .fits.fz; unpack it, fetch all of it, or rename it"
    return f"its name is not of the form {_FORM.format(kind=polarisation)}; rename it"


def _require(wanted: Sequence[str], images: Sequence[Named], folder: Path) -> None:
    missing = [spw for spw in wanted if spw not in {one.group for one in images}]
    if missing:
        there = "; ".join(sorted({one.group.replace("_", ",") for one in images}))
        raise DataError(
            f"{folder} holds no plane of spw {'; '.join(spw.replace('_', ',') for spw in missing)}. It has spw {there}."
        )


def _left(named: Sequence[Named], found: Sequence[Found], tell_common: bool) -> Iterable[str]:
    """Which of several files of one plane was taken."""
    taken = {file.path for plane in found for file in (plane.image, plane.rms) if file}
    images = {plane.image.group: plane.image for plane in found}
    common = [image.group.replace("_", ",") for image in images.values() if image.common]
    if common:
        yield f"Common-beam files (.com) are taken for spw {'; '.join(common)}: the planes themselves are not there."
    beside = 0
    for one in named:
        image = images.get(one.group)
        if one.path in taken:
            continue
        if image is None:
            yield f"{one.path.name} is not taken: its plane is not in the folder."
        elif one.common and not image.common:
            beside += 1
        elif one.common != image.common:
            yield f"{one.path.name} is not taken: it is the noise of the plane, not of {image.path.name}."
        else:
            rms = next(plane.rms for plane in found if plane.image is image)
            other = rms if one.match["rms"] and rms else image
            yield f"{one.path.name} is not taken: {other.path.name} is, which is the same plane."
    if beside and tell_common:
        yield f"{beside} common-beam file(s) (.com) are not taken: the planes themselves are in the folder."
