"""The smallest beam that all planes can be convolved to."""

from __future__ import annotations

from collections.abc import Sequence

from ccip_batch.casa.images import Beam
from ccip_batch.casa.session import Casa

ENLARGED = 1.00001
"""The common beam is made this much larger, so that rounding never asks for a deconvolution."""


def common_beam(casa: Casa, beams: Sequence[Beam]) -> Beam:
    """CASA's common beam (`ia.commonbeam`) of some beams, enlarged by 1.00001. Raises CasaError."""
    if len(beams) == 1:
        major, minor, angle = beams[0].major_arcsec, beams[0].minor_arcsec, beams[0].pa_deg
    else:
        with casa.tool("image") as tool:
            tool.fromshape("", [2, 2, 1, len(beams)])
            for channel, beam in enumerate(beams):
                tool.setrestoringbeam(
                    major=f"{beam.major_arcsec!r}arcsec",
                    minor=f"{beam.minor_arcsec!r}arcsec",
                    pa=f"{beam.pa_deg!r}deg",
                    channel=channel,
                    polarization=0,
                )
            found = tool.commonbeam()
        major, minor, angle = (float(found[key]["value"]) for key in ("major", "minor", "pa"))
    return Beam(major_arcsec=major * ENLARGED, minor_arcsec=minor * ENLARGED, pa_deg=angle)
