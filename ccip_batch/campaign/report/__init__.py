"""The report of a campaign: a page about all its squares, and a table of all their planes.

`write` makes `report/index.html`, with the files beside it, and `summary.ecsv`, from what the squares that have ended
left. It can be called at any time.
"""

from __future__ import annotations

from pathlib import Path

from ccip_batch.campaign.report.gathering import gather
from ccip_batch.campaign.report.plane_list import PlaneList
from ccip_batch.campaign.state import CampaignState
from ccip_batch.report.replacing import replace_folder


def write(state: CampaignState) -> Path:
    """Write both as the campaign is now; returns the path of `index.html`.

    They replace the old ones once both are complete.
    """
    from ccip_batch.campaign.report.page import write_page

    folder = state.campaign.folder
    with PlaneList(folder.summary, state) as planes:
        facts = gather(state, planes)
        replace_folder(folder.report, lambda place: write_page(facts, place))
    return folder.report / "index.html"
