"""`summary.ecsv`: a row for each plane of a campaign, for astropy, TOPCAT and everything else that reads CSV.

An epoch has half a million planes. So rows are written as squares are read; astropy only makes the header.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from astropy.table import Column, Table

from ccip_batch import __version__
from ccip_batch.campaign.state import CampaignState
from ccip_batch.campaign.summary import PlaneSummary, SquareSummary
from ccip_batch.campaign.table import Square
from ccip_batch.report.words import moment


@dataclass(frozen=True)
class _Column:
    name: str
    description: str
    unit: str = ""
    form: str = ""
    """Of a number; empty for text."""


_COLUMNS = (
    _Column("square", "Name of the square degree in the table of the campaign"),
    _Column("ra", "Phase centre, right ascension (J2000 or ICRS, as in its parameter list)", "deg", ".6f"),
    _Column("dec", "Phase centre, declination (J2000 or ICRS, as in its parameter list)", "deg", ".6f"),
    _Column("square_state", "What became of the square: waiting, at work, stopped, done, failed"),
    _Column("spw", "Spectral windows of the plane, as CASA selects them"),
    _Column("frequency", "Reference frequency", "Hz", ".10g"),
    _Column("beam_major", "Restoring beam before convolution to the common beam, major axis (FWHM)", "arcsec", ".5g"),
    _Column("beam_minor", "Restoring beam before convolution to the common beam, minor axis (FWHM)", "arcsec", ".5g"),
    _Column("beam_pa", "Restoring beam, position angle of the major axis, north through east", "deg", ".5g"),
    _Column("rms", "Median of the rms image of Stokes I", "Jy/beam", ".5g"),
    _Column("flagged", "Flagged fraction of the visibilities", form=".5g"),
    _Column("state", "What became of the plane: kept, rejected, rejected before imaging, empty, failed and others"),
    _Column("reason", "Why the plane was not kept"),
    _Column("file", "IQU image; a path that is not absolute begins at the folder of the campaign"),
    _Column("sha256", "SHA-256 of the IQU image"),
)


class PlaneList:
    """Writes the table; what is not known is masked, which in ECSV is an empty cell."""

    def __init__(self, path: Path, state: CampaignState) -> None:
        self._path, self._state = path, state
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._base = state.campaign.folder.path

    def __enter__(self) -> PlaneList:
        self._out = self._partial.open("w", encoding="utf-8", newline="")
        self._out.write(_header(self._base.name, self._state.now))
        self._writer = csv.writer(self._out, lineterminator="\n")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            with self._out:
                self._out.flush()
                os.fsync(self._out.fileno())
            if error is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)

    def add(self, square: Square, summary: SquareSummary) -> None:
        """Write the rows of a square."""
        place = Path("squares", square.tile, square.name, "products")
        products = Path(summary.products)
        if products.parts[-len(place.parts) :] == place.parts:  # also if the campaign was moved since
            products = place
        elif products.is_relative_to(self._base):
            products = products.relative_to(self._base)
        of_square = (square.name, summary.ra_deg, summary.dec_deg, self._state.state_of(square))
        self._writer.writerows(_row(of_square, plane, products) for plane in summary.planes)


def _row(of_square: tuple[Any, ...], plane: PlaneSummary, products: Path) -> list[str]:
    values = (
        *of_square, plane.spw, plane.frequency_hz, plane.beam_major_arcsec, plane.beam_minor_arcsec, plane.beam_pa_deg,
        plane.rms_i_jy, plane.flagged_fraction, plane.state, plane.reason,
        str(products / plane.file) if plane.file else "", plane.sha256,
    )  # fmt: skip
    return [
        "" if value is None else format(value, column.form) if column.form else one_line(value)
        for value, column in zip(values, _COLUMNS, strict=True)
    ]


def one_line(text: str) -> str:
    """A text without line breaks and other signs that cannot be printed."""
    return text if text.isprintable() else " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _header(campaign: str, now: float) -> str:
    """All that stands above the rows, as astropy writes it for a table without any."""
    table = Table(
        [
            Column([], name=column.name, dtype=float if column.form else str, unit=column.unit or None,
                   description=column.description)
            for column in _COLUMNS
        ],
        meta={"campaign": one_line(campaign), "written": moment(now), "ccip_batch": __version__},
    )  # fmt: skip
    text = io.StringIO()
    table.write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue()
