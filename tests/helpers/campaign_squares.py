"""Campaigns whose squares have ended in every way, without imaging any: their records are the package's own."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ccip_batch.campaign.config import CampaignFolder, load_campaign
from ccip_batch.campaign.journal import Entry, Journal
from ccip_batch.campaign.state import CampaignState, read_state
from ccip_batch.campaign.summary import NAME, PlaneSummary, SquareSummary

SPWS = tuple(range(2, 18))
BEGAN = 1.78e9
HOSTILE = (
    '</script><script>globalThis.hacked = 1</script><img src=x onerror="globalThis.hacked = 1"> \'a\' & "b"\n\x07'
    "{{ 7 * 7 }}"
)
CAUSES = ("memory", "disk", "casa", HOSTILE)


def square_name(ra: float, dec: float) -> str:
    """As VLASS names a square: by its tile and its place."""
    minutes = ra * 4
    seconds = int(minutes * 60)
    size = int(abs(dec) * 3600)
    place = f"J{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}{'-' if dec < 0 else '+'}"
    place += f"{size // 3600:02d}{size // 60 % 60:02d}{size % 60:02d}"
    return f"VLASS3.1.cc.T{int((dec + 42) // 4.1):02d}t{int(ra // 10):02d}.{place}"


def sky_grid(number: int) -> list[tuple[float, float]]:
    """So many places a degree apart, north of -42 degrees, all round the sky from south to north."""
    places: list[tuple[float, float]] = []
    for dec in np.arange(-41.5, 90, 1.0):
        around = max(1, int(360 * np.cos(np.radians(dec))))
        places += [(i * 360 / around, float(dec)) for i in range(around)]
    return places[:number]


def plane(spw: int, noise: float, at: np.random.Generator, name: str, *, rejected: bool = False) -> PlaneSummary:
    """A plane that was imaged; one that was rejected is half flagged."""
    frequency = (1.988 + 0.128 * (spw - 1.5)) * 1e9
    major = 2.9 * 3e9 / frequency * at.normal(1, 0.03)
    return PlaneSummary(
        spw=str(spw),
        state="rejected" if rejected else "kept",
        reason="beam 62% larger than expected" if rejected else "",
        frequency_hz=frequency,
        beam_major_arcsec=major * (1.6 if rejected else 1),
        beam_minor_arcsec=major * 0.7,
        beam_pa_deg=float(at.uniform(-90, 90)),
        rms_i_jy=5e-4 * noise * (1.5 if spw in (3, 4) else 1) * at.normal(1, 0.02),
        peak_i_jy=0.02,
        flagged_fraction=float(np.clip((0.55 if rejected else 0.2) + at.normal(0, 0.03), 0, 1)),
        file=f"{name}.06.2048.v1.spw{spw:02d}.IQU.iter3.image.pbcor.tt0.subim.fits",
        sha256=f"{spw:064x}",
    )


def empty_plane(spw: int) -> PlaneSummary:
    """A plane that was completely flagged: nothing else is known."""
    return PlaneSummary(
        spw=str(spw), state="empty", reason="completely flagged", frequency_hz=None, beam_major_arcsec=None,
        beam_minor_arcsec=None, beam_pa_deg=None, rms_i_jy=None, peak_i_jy=None, flagged_fraction=None, file="",
        sha256="",
    )  # fmt: skip


def make_campaign(folder: Path, places: list[tuple[float, float]], *, waiting: float = 0.1, seed: int = 1) -> Path:
    """A campaign with a square at each place; the first ones have ended. Gives its folder.

    Every 40th square that has ended failed, every other of these without a summary; every 25th has a plane rejected,
    every 90th is noisy, every 15th lacks its two lowest planes. waiting: the share that was not begun.
    """
    at = np.random.default_rng(seed)
    layout = CampaignFolder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [square_name(*place) for place in places]
    rows = [("name", "tile", "vis"), *((name, name.split(".")[3], f"/data/{name}.ms") for name in names)]
    with (folder / "campaign.csv").open("w", newline="") as out:
        csv.writer(out).writerows(rows)
    (folder / "campaign.yaml").write_text("table: campaign.csv\njob: {}\n")
    ended = round(len(names) * (1 - waiting))
    entries = [_end(layout, i, names[i], places[i], at) for i in range(ended)]
    under_way = names[ended : ended + len(names) // 100 + 1]
    entries += [Entry(name, "at work", BEGAN + i) for i, name in enumerate(under_way)]
    Journal(layout.journal).write(entries)
    return folder


def _end(layout: CampaignFolder, i: int, name: str, place: tuple[float, float], at: np.random.Generator) -> Entry:
    tile, time = name.split(".")[3], BEGAN + 200 * i
    failed, run = i % 40 == 7, layout.run(name, tile)
    cause = CAUSES[i // 40 % len(CAUSES)] if failed else ""
    run.mkdir(parents=True)
    if failed and i % 80 == 7:
        return Entry(name, "failed", time, cause, f"row {i}: {HOSTILE}", left=5_000)
    noise = float(at.normal(1, 0.04)) * (1 + 0.3 * (abs(place[1] + 5) < 4)) * (3.0 if i % 90 == 11 else 1)
    planes = [plane(spw, noise, at, name, rejected=spw == 9 and i % 25 == 3) for spw in SPWS]
    if i % 15 == 4:
        planes[:2] = [empty_plane(spw) for spw in SPWS[:2]]
    summary = SquareSummary(
        name=name, tile=tile, imagename=name, ra_deg=place[0], dec_deg=place[1], state="failed" if failed else "done",
        cause=cause, ended=time, wall_s=5e4, cpu_s=2e5 + i, products=str(run / "products"), products_bytes=10**10,
        planes=tuple(planes),
    )  # fmt: skip
    (run / NAME).write_text(summary.model_dump_json())
    if i % 3 != 2:
        (run / "report").mkdir()
        (run / "report" / "index.html").write_text("<!DOCTYPE html><title>square</title>")
    text = f"image_spw09 failed: {HOSTILE}" if failed else ""
    return Entry(name, "failed" if failed else "done", time, cause, text, summary.counts(), 2e5 + i, 10**10, 10**8)


def state_of(folder: Path, alive: bool = True) -> CampaignState:
    """How it stands."""
    return read_state(load_campaign(folder), alive)
