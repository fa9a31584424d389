"""The smallest beam that all planes can be convolved to, as CASA finds it: that of the `.com` products.

Cubes are made without CASA, with `cube.beams.common_beam`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ccip_batch.casa.images import RestoringBeam
from ccip_batch.casa.session import Casa
from ccip_batch.cube.beams import ENLARGE


def casa_common_beam(casa: Casa, beams: Sequence[RestoringBeam]) -> RestoringBeam:
    """CASA's common beam (`ia.commonbeam`) of some beams, enlarged by `ENLARGE`. Raises CasaError."""
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
    return RestoringBeam(major_arcsec=major * ENLARGE, minor_arcsec=minor * ENLARGE, pa_deg=angle)
