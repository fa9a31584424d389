"""Stage 3, hif_transformimagedata: the part of the PIMS that is imaged, with weights from noise theory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccip_batch.casa.measurement_set import MsSummary, summarize
from ccip_batch.casa.session import Casa
from ccip_batch.errors import CasaError

MSTRANSFORM: dict[str, Any] = {"datacolumn": "data", "chanbin": 1, "timebin": "0s", "reindex": False}
INITWEIGHTS: dict[str, Any] = {"wtmode": "nyq"}
"""The parameters of the two calls that are the same for every measurement set."""


def transformimagedata(casa: Casa, vis: str, outputvis: str, fields: Sequence[int], spws: Sequence[int]) -> MsSummary:
    """Copy the DATA of `fields` and `spws` (ids) of `vis` to `outputvis` and initialise its weights.

    Ids of spws and fields stay what they were; POINTING is kept. Rows come out sorted by field, data description and
    time, the order that the flag versions of the continuum imaging have.
    """
    casa.task(
        "mstransform",
        vis=vis,
        outputvis=outputvis,
        field=",".join(map(str, fields)),
        spw=",".join(map(str, spws)),
        **MSTRANSFORM,
    )
    if not Path(outputvis, "table.dat").is_file():
        raise CasaError(f"mstransform wrote no {outputvis}; see casa.log.")
    casa.task("initweights", vis=outputvis, **INITWEIGHTS)
    return summarize(casa, Path(outputvis))
