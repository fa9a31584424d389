"""What the maps of Faraday depth peaks are, and their headers."""

from __future__ import annotations

import datetime
import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass

from astropy.io import fits

from ccip_batch.cube.write import add_history

_OTHER_AXES = re.compile(r"(?:NAXIS|CTYPE|CRVAL|CDELT|CRPIX|CUNIT|CNAME|CROTA)[3-9]|P[SVC]\d+_\d+|PC\d+_\d+|CD\d+_\d+")
_OF_A_CUBE = ("CHECKSUM", "DATASUM", "SPECSYS", "VELREF", "RESTFRQ", "RESTFREQ", "BTYPE", "BUNIT", "VLASSPL")


@dataclass(frozen=True)
class Map:
    """One map."""

    rm_tools: str
    """Its name in RM-Tools."""
    unit: str
    """BUNIT."""
    kind: str
    """BTYPE."""


MAPS = {
    "RM": Map("phiPeakPIfit_rm2", "rad/m2", "Rotation measure"),
    "RM_error": Map("dPhiPeakPIfit_rm2", "rad/m2", "Error of rotation measure"),
    "P": Map("ampPeakPIfitEff", "Jy/beam", "Polarised intensity"),
    "P_error": Map("dAmpPeakPIfit", "Jy/beam", "Error of polarised intensity"),
    "angle": Map("polAngle0Fit_deg", "deg", "Polarisation angle at wavelength zero"),
    "angle_error": Map("dPolAngle0Fit_deg", "deg", "Error of polarisation angle"),
    "snr": Map("snrPIfit", "", "Signal to noise ratio of the peak"),
}


def map_header(cube: fits.Header, name: str, facts: Mapping[str, float]) -> fits.Header:
    """The header of a map, from that of the Q cube: its sky, its beam, its observation, and how the map was made.

    facts: `channels` (how many are used), `reference` (m2), `width`, `limit`, `step` (rad/m2), `noise` (Jy/beam),
    `snr`.
    """
    header = fits.Header()
    for card in cube.cards:
        if not _OTHER_AXES.fullmatch(card.keyword) and card.keyword not in _OF_A_CUBE:
            header.append(card, end=True)
    header["NAXIS"] = 2
    one = MAPS[name]
    header["BTYPE"] = one.kind
    header["BUNIT"] = (one.unit, "Unit of the pixels")
    header["VLASSPL"] = ("QU", "VLASS Stokes/polarization parameter")
    header["NCHAN"] = (int(facts["channels"]), "Channels used")
    header["LAMSQ0"] = (facts["reference"], "[m2] Mean of wavelength squared")
    header["RMSFFWHM"] = (facts["width"], "[rad/m2] FWHM of the response, all channels")
    header["FDFNOISE"] = (facts["noise"], "[Jy/beam] Noise of a spectrum, all channels")
    header["RMMAX"] = (facts["limit"], "[rad/m2] Largest Faraday depth searched")
    header["RMSTEP"] = (facts["step"], "[rad/m2] Between the Faraday depths")
    header["SNRMIN"] = (facts["snr"], "Pixels with a lower peak are blank")
    header["DATE"] = (datetime.datetime.now(datetime.UTC).replace(tzinfo=None).isoformat(timespec="seconds"), "UTC")
    version = importlib.metadata.version("rm-tools")
    add_history(
        header,
        f"Highest peak of the Faraday depth spectrum of each pixel, fitted by RM-Tools {version} (measure_FDF_parms), "
        "channels weighted by 1 / noise^2. The angle at another wavelength is that at wavelength zero + RM x "
        "wavelength^2.",
    )
    return header
