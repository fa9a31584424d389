"""The tclean parameters of the VLASS modes, as data.

Source: NRAO's pipeline as of July 2026 (its heuristics for `VLASS-SE-CUBE` and `VLASS-SE-CONT-MOSAIC`), checked against
the calls that it made on simulated data. What depends on the measurement set or the plane (vis, field, spw, scan,
antenna, imagename, mask, and the reffreq of a plane) is not here.
"""

from __future__ import annotations

from typing import Any

COMMON: dict[str, Any] = {
    "imsize": [12500, 12500],
    "cell": "0.6arcsec",
    "uvrange": "<12km",
    "intent": "OBSERVE_TARGET#UNSPECIFIED",
    "specmode": "mfs",
    "nchan": -1,
    "outframe": "LSRK",
    "gridder": "mosaic",
    "mosweight": False,
    "wprojplanes": 1,
    "usepointing": False,
    "conjbeams": False,
    "rotatepastep": 5.0,
    "pointingoffsetsigdev": [300, 30],
    "pblimit": 0.1,
    "deconvolver": "mtmfs",
    "smallscalebias": 0.4,
    "restoringbeam": "common",
    "pbcor": False,
    "weighting": "briggs",
    "npixels": 0,
    "perchanweightdensity": False,
    "cyclefactor": 3.0,
    "fastnoise": True,
    "savemodel": "none",
    "parallel": False,
    "interactive": False,
    "fullsummary": True,
}
"""The same in every call."""

PREDICTION: dict[str, Any] = {
    **COMMON,
    "datacolumn": "data",
    "stokes": "I",
    "nterms": 2,
    "reffreq": "3.0GHz",
    "robust": -2.0,
    "uvtaper": ["2.6476arcsec"],
    "niter": 0,
    "nsigma": 2.0,
    "threshold": "0.0mJy",
    "cycleniter": 500,
    "restoration": False,
    "calcres": False,
}
"""Stage 4: SE-CONT's mosaic mode, the first of two calls (psf and weights).

The second call, which fills MODEL_DATA, differs by `savemodel='modelcolumn', calcpsf=False, restart=True`.
"""

_PLANE: dict[str, Any] = {
    **COMMON,
    "datacolumn": "corrected",
    "stokes": "IQUV",
    "nterms": 1,
    "robust": 1.0,
    "psfcutoff": 0.5,
    "restoration": True,
}

_DIRTY: dict[str, Any] = {
    **_PLANE,
    "niter": 0,
    "nsigma": 2.0,
    "threshold": "0.0mJy",
    "cycleniter": 500,
    "restoration": False,  # with no model the restored image would be the residual, to the last bit
}

_CLEAN: dict[str, Any] = {
    **_PLANE,
    "usemask": "user",
    "scales": [0, 5, 12],
    "niter": 20000,
    "nsigma": 3.0,
    "threshold": "0Jy",
    "cycleniter": 500,
    "nmajor": 220,
    "calcres": False,
    "calcpsf": False,
    "restart": True,
}

ITERATIONS: tuple[dict[str, Any], ...] = (
    _DIRTY,
    _CLEAN,
    _CLEAN,
    {**_CLEAN, "usemask": "pb", "pbmask": 0.4, "nsigma": 4.5, "cycleniter": 100},
)
"""Stage 7: iter0 (dirty image), iter1 (tier-1 mask), iter2 (tier-2 mask), iter3 (primary beam mask)."""

IMAGE_PARAMETERS = ("imsize", "cell", "robust", "uvrange", "uvtaper", "weighting", "pblimit", "psfcutoff")
"""Define the image: the same in all iterations of a plane, since psf and weights are made once, in iter0."""

CLEAN_PARAMETERS = (
    "niter", "nsigma", "threshold", "cycleniter", "nmajor", "scales", "smallscalebias", "cyclefactor",
)  # fmt: skip
"""Steer the deconvolution: may differ between iter1, iter2 and iter3; iter0 cleans nothing."""
