"""What is simulated: the presets, as data, and how their sizes can be changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from ccip_batch.errors import ConfigError
from ccip_batch.job.spw_groups import SCIENCE_SPWS
from ccip_batch.simulate.sky import Source


@dataclass(frozen=True)
class Flagged:
    """What part of a spw is flagged in the PIMS."""

    fraction: float
    """Fraction of the rows of a field that is flagged, in the first fields of the mosaic."""
    fields: float = 1.0
    """Fraction of the fields that are flagged so."""
    elsewhere: float = 0.0
    """Fraction of the rows that is flagged in the other fields."""


@dataclass(frozen=True)
class Preset:
    """A simulation. Angles in arcsec, times in seconds."""

    name: str
    description: str
    fields: int = 9
    """Number of fields of the mosaic."""
    columns: int = 3
    """Fields in a row of the mosaic: one row is one scan."""
    spacing: tuple[float, float] = (180.0, 432.0)
    """Distance of fields within a row, and of rows."""
    integrations: int = 2
    """Integrations of 0.45 s on a field."""
    gap: float = 8.0
    """Time between two scans."""
    channels: int = 8
    """Channels of a science spw, which is 128 MHz wide."""
    pixels: int = 512
    """Image size."""
    cell: float = 6.0
    """Cell size."""
    niter: int = 200
    """The niter of the coarse cube's parameter list."""
    groups: tuple[str, ...] = tuple(str(spw) for spw in SCIENCE_SPWS)
    """Spw groups of the coarse cube."""
    spws: tuple[int, ...] = SCIENCE_SPWS
    """The science spws that were observed; the others are empty."""
    configuration: Literal["b", "d"] = "d"
    """Configuration of the VLA. The survey's is B; D needs a tenth of the pixels for the same field of view."""
    flagged: dict[int, Flagged] = field(default_factory=dict)
    """What is flagged, by spw."""
    rfi: tuple[int, ...] = (3, 4, 10)
    """Spws with interference. Only the flag version `FLAG_VERSION` of SE-CONT has it flagged."""
    nfield_thresh: int | None = None
    """Threshold of the plane rejection before imaging, where it must differ from the survey's 12 fields."""
    imaging: dict[str, float] = field(default_factory=dict)
    """What the job config says under `imaging:`."""
    sources: tuple[Source, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the mosaic; the last may be short."""
        return math.ceil(self.fields / self.columns)

    @property
    def resolution(self) -> float:
        """Beam at 3 GHz in arcsec."""
        return {"b": 2.4, "d": 24.0}[self.configuration]


_CASE_SKY = (
    Source("A", 126, -252, 0.250, -0.7, p=0.10, rm=35, chi0=20, v=0.010),
    Source("B", -300, 240, 0.120, -0.2, p=0.06, rm=-60, chi0=-50),
    Source("C", 312, 300, 0.080, -1.1, in_ql=False),
    Source("D", -240, -330, 0.060, 0.3, p=0.15, rm=10, chi0=80),
    Source("E", 276, -12, 0.150, -0.8, p=0.05, rm=20, gauss=(60.0, 40.0, 35.0)),
)
# Cleaning few and short scans takes a mJy or two from every source: C is bright enough to lose less than 3%.
_COMPACT_SKY = (
    Source("A", 84, -162, 0.150, -0.7, p=0.10, rm=35, chi0=20, v=0.010),
    Source("B", -180, 138, 0.090, -0.2, p=0.12, rm=-60, chi0=-50),
    Source("C", 168, 198, 0.090, -1.1, in_ql=False),
    Source("E", 186, -12, 0.150, -0.8, p=0.20, rm=20, gauss=(45.0, 30.0, 35.0)),
)

# As wide as the square, and wide sources of the beam of the B configuration.
_SQUARE_SKY = (
    Source("A", 126, -252, 0.250, -0.7, p=0.10, rm=35, chi0=20, v=0.010),
    Source("B", -900, 720, 0.120, -0.2, p=0.06, rm=-60, chi0=-50),
    Source("C", 1260, 900, 0.080, -1.1, in_ql=False),
    Source("D", -1080, -1260, 0.060, 0.3, p=0.15, rm=10, chi0=80),
    Source("E", 540, -900, 0.150, -0.8, p=0.05, rm=20, gauss=(6.0, 4.0, 35.0)),
    Source("F", -300, 1350, 0.100, -0.7, p=0.08, rm=-20, chi0=10),
)

# A sky of a few sources needs no care against sidelobes taken for sources: the survey's cyclefactor of 3 ends each
# cycle after a few components, and major cycles are what a plane costs.
_QUICK = {"cyclefactor": 1.0}
_FEW_CYCLES = {**_QUICK, "nmajor": 1}

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "demo",
            "Nine fields and eight planes of every kind: kept, of two spws, empty, rejected before and after imaging.",
            spacing=(120.0, 240.0),
            gap=240.0,
            pixels=400,
            niter=200,
            groups=("2", "3,4", "5", "6", "9", "12", "15", "17"),
            flagged={5: Flagged(0.95, fields=2 / 3, elsewhere=0.5), 9: Flagged(1.0), 15: Flagged(0.84)},
            nfield_thresh=5,
            imaging=_QUICK,
            sources=_COMPACT_SKY,
        ),
        Preset(
            "small",
            "Four fields and four planes (three kept, one of them of two spws, and an empty one) for quick tests.",
            fields=4,
            columns=2,
            spacing=(150.0, 150.0),
            gap=240.0,
            channels=3,
            pixels=256,
            cell=7.0,
            niter=150,
            groups=("9", "10", "12,13", "17"),
            flagged={9: Flagged(1.0), 15: Flagged(0.6)},
            rfi=(3, 10, 13),
            imaging=_QUICK,
            sources=(_COMPACT_SKY[0], _COMPACT_SKY[1], _COMPACT_SKY[2]),
        ),
        Preset(
            "case",
            "Nine fields over 14 arcmin and one plane a science spw: sixteen planes at 512 pixels.",
            flagged={5: Flagged(0.6), 9: Flagged(1.0)},
            sources=_CASE_SKY,
        ),
        Preset(
            "custom",
            "The sky and planes of case, with as many channels, fields and pixels as asked for.",
            flagged={9: Flagged(1.0), 15: Flagged(0.84)},
            sources=_CASE_SKY,
        ),
        Preset(
            "rehearsal",
            "Four spws of a square degree as the survey observes it, with its channels and cell: 3 GB, large planes.",
            fields=300,
            columns=25,
            integrations=3,
            channels=64,
            pixels=6250,
            cell=0.6,
            groups=("2", "7", "12", "17"),
            spws=(2, 7, 12, 17),
            configuration="b",
            flagged={12: Flagged(0.3)},
            rfi=(7,),
            imaging=_FEW_CYCLES,
            sources=_SQUARE_SKY,
        ),
    )
}

SIZES = ("channels", "fields", "integrations", "pixels", "cell", "niter")
"""The sizes of a preset that can be overridden."""


def resolve(name: str, **sizes: float | None) -> Preset:
    """The preset of that name with other sizes (`SIZES`; None leaves one as it is).

    The sources move to the nearest pixel centres, so that a peak is a flux density; the rejection threshold stays
    the same fraction of the fields. Raises ConfigError, listing all that is wrong.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}; choose one of {', '.join(PRESETS)}.")
    unknown = sorted(set(sizes) - set(SIZES))
    if unknown:
        raise ConfigError(f"{', '.join(unknown)} cannot be chosen, only {', '.join(SIZES)}.")
    chosen = {key: value for key, value in sizes.items() if value is not None}
    types = {item.name: item.type for item in fields(Preset)}
    problems = [
        f"{key}={value} must be a whole number"
        for key, value in chosen.items()
        if types[key] == "int" and value != int(value)
    ]
    preset = PRESETS[name]
    if "fields" in chosen and chosen["fields"] != preset.fields:
        count = int(chosen["fields"])
        preset = replace(preset, columns=max(1, math.ceil(math.sqrt(count))) if count > 0 else 1)
        if preset.nfield_thresh is not None:
            share = preset.nfield_thresh / PRESETS[name].fields
            preset = replace(preset, nfield_thresh=max(1, math.floor(share * count)))
    changes: dict[str, Any] = {key: int(value) if types[key] == "int" else value for key, value in chosen.items()}
    preset = replace(preset, **changes)
    problems += _problems(preset)
    if problems:
        raise ConfigError("The simulation cannot be made: " + "; ".join(problems) + ".")
    return replace(preset, sources=tuple(source.on_grid(preset.cell) for source in preset.sources))


def _problems(preset: Preset) -> list[str]:
    found = []
    if preset.channels < 2 or preset.channels == 4:
        found.append(
            f"channels={preset.channels}: NRAO's pipeline does not take spws of 1 or 4 channels for science, "
            "so choose 2, 3 or at least 5"
        )
    for key in ("fields", "integrations", "niter"):
        if getattr(preset, key) < 1:
            found.append(f"{key}={getattr(preset, key)} must be 1 or more")
    if preset.cell <= 0:
        found.append(f"cell={preset.cell} must be a positive number of arcsec")
    elif preset.sources:
        reach = max(max(abs(source.dx), abs(source.dy)) for source in preset.sources) + 120.0
        if preset.pixels / 2 * preset.cell < reach:
            found.append(
                f"{preset.pixels} pixels of {preset.cell} arcsec do not cover the sources: "
                f"take at least {math.ceil(2 * reach / preset.cell)} pixels"
            )
    return found
