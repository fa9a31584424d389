"""The structure of the measurement set: antennas, spectral windows, fields, scans, intents, rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ccip_batch.casa.session import Casa, data_folder
from ccip_batch.cube.axis import FIRST_SPW, SPACING, survey_frequency
from ccip_batch.errors import DataError
from ccip_batch.job.spw_groups import SCIENCE_SPWS
from ccip_batch.simulate.presets import Preset
from ccip_batch.simulate.sky import ARCSEC, from_offset

ROOT = "VLASS2.1.sb00000001.eb00000001.59066.5_J133336+164404"
"""Name of the measurement set without `.ms`."""
PHASE_CENTRE = (math.radians((13 + (33 + 35.814 / 60) / 60) * 15), math.radians(16 + (44 + 4.255 / 60) / 60))
"""Right ascension and declination of the image centre, J2000, in radians."""
PHASE_CENTRE_TEXT = "J2000 13:33:35.814 +16.44.04.255"
_START_MJD = 59066.98898730928
"""Where the simulator tool is told to begin: the phase centre is near the meridian then."""
INTEGRATION = 0.45
"""Length of an integration in seconds, that of the survey."""
_POINTING = ("J1347+1217", math.radians((13 + (47 + 33.36 / 60) / 60) * 15), math.radians(12 + (17 + 24.24 / 60) / 60))
_POINTING_LEAD = 30.0  # seconds by which the pointing scan comes before the first target scan
_POINTING_CHANNELS = 2
_POINTING_CENTRE = 8.364e9  # of spw 0, Hz
_OBS_MODES = ("CALIBRATE_POINTING#UNSPECIFIED", "OBSERVE_TARGET#UNSPECIFIED")


@dataclass(frozen=True)
class Field:
    """A field of the mosaic."""

    id: int
    name: str
    ra: float
    """J2000, radians, as `dec`."""
    dec: float
    scan: int
    start: float
    """Seconds from the beginning of the first target scan to the first integration."""

    def as_dict(self) -> dict[str, Any]:
        """As it stands in truth.json."""
        return {
            "id": self.id,
            "name": self.name,
            "ra_rad": self.ra,
            "dec_rad": self.dec,
            "scan": self.scan,
            "tstart_s": self.start,
        }


def mosaic(preset: Preset) -> list[Field]:
    """The target fields in the order in which they are observed: row after row, every other row backwards.

    Ids begin with 1 and scans with 2, since the pointing scan has field 0 and scan 1.
    """
    along, across = preset.spacing
    made: list[Field] = []
    names: set[str] = set()
    time = 0.0
    for row in range(preset.rows):
        count = min(preset.columns, preset.fields - row * preset.columns)
        columns = range(count) if row % 2 == 0 else range(count - 1, -1, -1)
        for column in columns:
            x = (column - (count - 1) / 2) * along * ARCSEC
            y = (row - (preset.rows - 1) / 2) * across * ARCSEC
            ra, dec = from_offset(*PHASE_CENTRE, x, y)
            name = field_name(ra, dec)
            if name in names:
                raise DataError(f"Two fields are both named {name}: there are too many fields for their spacing.")
            names.add(name)
            made.append(Field(len(made) + 1, name, ra, dec, row + 2, time))
            time += preset.integrations * INTEGRATION
        time += preset.gap
    return made


def field_name(ra: float, dec: float) -> str:
    """The survey's name of a field: its position as hhmmsst+ddmmss, cut off and not rounded."""
    tenths = int(math.degrees(ra) % 360.0 / 15.0 * 36000.0)
    seconds = int(abs(math.degrees(dec)) * 3600.0)
    right = f"{tenths // 36000:02d}{tenths // 600 % 60:02d}{tenths % 600:03d}"
    return f"{right}{'-' if dec < 0 else '+'}{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def spw_frequencies(spw: int, channels: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Centres of the channels of a spw in Hz (TOPO). Channels of spws 0 and 1: 2, whatever is asked for."""
    if spw < FIRST_SPW:
        centre, channels = _POINTING_CENTRE + spw * SPACING, _POINTING_CHANNELS
    else:
        centre = survey_frequency(spw)
    return centre + ((np.arange(channels) + 0.5) / channels - 0.5) * SPACING


def spw_name(spw: int) -> str:
    """The name of a spw as the VLA gives it: band, baseband, number."""
    first = spw == 0 or 2 <= spw < 10
    return f"EVLA_{'X' if spw < 2 else 'S'}#{'A0C0' if first else 'B0D0'}#{spw}"


@dataclass(frozen=True)
class _Antennas:
    x: list[float]
    y: list[float]
    z: list[float]
    diameter: list[float]
    pad: list[str]

    @property
    def names(self) -> list[str]:
        return [f"ea{number + 1:02d}" for number in range(len(self.pad))]


def _antennas(configuration: str) -> _Antennas:
    """A configuration of the VLA, from CASA's data."""
    path = data_folder() / "alma" / "simmos" / f"vla.{configuration}.cfg"
    if not path.is_file():
        raise DataError(f"{path} is missing: the simulator needs the antenna positions of the package casadata.")
    rows = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    x, y, z, diameter = ([float(row[k]) for row in rows] for k in range(4))
    return _Antennas(x, y, z, diameter, [row[4] for row in rows])


def antenna_names(configuration: str) -> list[str]:
    """Names of the antennas of a configuration of the VLA, in the order of their ids."""
    return _antennas(configuration).names


def make_structure(casa: Casa, path: str, preset: Preset, fields: list[Field]) -> float:
    """Make a measurement set with everything but what a receiver gives: DATA is 0, nothing is flagged.

    Rows are in order of time, then of spectral window. path: the measurement set, in the current folder. Returns
    when the first target scan begins (MJD, UTC).
    """
    unsorted = path + ".unsorted"
    _observe(casa, unsorted, preset, fields)
    with casa.table(unsorted, write=True) as table:
        made = [name for name in ("MODEL_DATA", "CORRECTED_DATA", "IMAGING_WEIGHT") if name in table.colnames()]
        table.removecols(made)  # the simulator tool makes them; calibrated data have none
        ordered = table.query("DATA_DESC_ID >= 0", sortlist="TIME, DATA_DESC_ID, ANTENNA1, ANTENNA2")
        copied = ordered.copy(path, deep=True, valuecopy=True)
        copied.close()
        ordered.close()
    casa.remove(unsorted)
    _label(casa, path, fields)
    _thin_pointing(casa, path)
    with casa.table(path) as table:
        targets = table.query("FIELD_ID > 0")
        start = float((targets.getcol("TIME") - targets.getcol("INTERVAL") / 2).min()) / 86400.0
        targets.close()
    return start


def _observe(casa: Casa, path: str, preset: Preset, fields: list[Field]) -> None:
    antennas = _antennas(preset.configuration)
    length = preset.integrations * INTEGRATION
    with casa.tool("measures") as measures, casa.tool("simulator") as simulator:
        simulator.open(path)
        simulator.setconfig(
            telescopename="EVLA",
            x=antennas.x,
            y=antennas.y,
            z=antennas.z,
            dishdiameter=antennas.diameter,
            mount=["alt-az"],
            antname=antennas.names,
            padname=antennas.pad,
            coordsystem="global",
            referencelocation=measures.observatory("VLA"),
        )
        for spw in (0, 1, *SCIENCE_SPWS):
            frequencies = spw_frequencies(spw, preset.channels)
            width = f"{SPACING / len(frequencies):.6f}Hz"
            simulator.setspwindow(
                spwname=spw_name(spw),
                freq=f"{frequencies[0]:.6f}Hz",
                deltafreq=width,
                freqresolution=width,
                nchannels=len(frequencies),
                refcode="TOPO",
                stokes="RR RL LR LL",
            )
        simulator.setfeed("perfect R L", pol=[""])
        for name, ra, dec in (_POINTING, *((field.name, field.ra, field.dec) for field in fields)):
            simulator.setfield(
                sourcename=name, sourcedirection=measures.direction("J2000", f"{ra!r}rad", f"{dec!r}rad")
            )
        simulator.setlimits(shadowlimit=0.99, elevationlimit="8deg")
        simulator.setauto(0.0)
        simulator.settimes(
            integrationtime=f"{INTEGRATION}s",
            usehourangle=False,
            referencetime=measures.epoch("UTC", f"{_START_MJD!r}d"),
        )
        for spw in (0, 1):
            simulator.observe(
                _POINTING[0],
                spw_name(spw),
                starttime=f"{-_POINTING_LEAD}s",
                stoptime=f"{-_POINTING_LEAD + INTEGRATION}s",
            )
        for field in fields:
            for spw in preset.spws:
                simulator.observe(
                    field.name, spw_name(spw), starttime=f"{field.start}s", stoptime=f"{field.start + length}s"
                )
        simulator.close()


def _thin_pointing(casa: Casa, path: str) -> None:
    """Leave one row of POINTING for each time and antenna: the simulator tool makes one for each spw."""
    with casa.table(path + "/POINTING", write=True) as table:
        rows = np.stack([np.round(table.getcol("TIME") * 100), table.getcol("ANTENNA_ID")])
        _, kept = np.unique(rows, axis=1, return_index=True)
        table.removerows(np.setdiff1d(np.arange(table.nrows()), kept).tolist())


def _label(casa: Casa, path: str, fields: list[Field]) -> None:
    """Fill in what the simulator tool leaves empty and what pipelines look at."""
    with casa.table(path, write=True) as table:
        ids = table.getcol("FIELD_ID")
        table.putcol("STATE_ID", (ids > 0).astype(np.int32))
        table.putcol("SCAN_NUMBER", np.array([1, *(field.scan for field in fields)], np.int32)[ids])
        for column in ("ARRAY_ID", "OBSERVATION_ID", "PROCESSOR_ID"):
            table.putcol(column, np.zeros(table.nrows(), np.int32))
        times = table.getcol("TIME")
        interval = table.getcol("INTERVAL")
        span = [float((times - interval / 2).min()), float((times + interval / 2).max())]
    with casa.table(path + "/STATE", write=True) as table:
        table.addrows(len(_OBS_MODES) - table.nrows())
        for row, mode in enumerate(_OBS_MODES):
            table.putcell("OBS_MODE", row, mode)
            table.putcell("SIG", row, True)
            table.putcell("REF", row, False)
            table.putcell("CAL", row, 0.0)
            table.putcell("LOAD", row, 0.0)
            table.putcell("SUB_SCAN", row, 0)
            table.putcell("FLAG_ROW", row, False)
    with casa.table(path + "/OBSERVATION", write=True) as table:
        table.putcell("TELESCOPE_NAME", 0, "EVLA")
        table.putcell("OBSERVER", 0, "VLASS")
        table.putcell("PROJECT", 0, "uid://evla/pdb/36000000")
        table.putcell("SCHEDULE_TYPE", 0, "EVLA")
        # NRAO's pipeline reads the ids of the scheduling and the execution block here.
        table.putcell("SCHEDULE", 0, ["SchedulingBlock uid://evla/pdb/00000001", "ExecBlock uid://evla/pdb/10000001"])
        table.putcell("TIME_RANGE", 0, span)
    with casa.table(path + "/PROCESSOR", write=True) as table:
        if table.nrows() == 0:
            table.addrows(1)
        table.putcell("TYPE", 0, "CORRELATOR")
        table.putcell("SUB_TYPE", 0, "EVLA_WIDAR")
        table.putcell("TYPE_ID", 0, 0)
        table.putcell("MODE_ID", 0, 0)
    with casa.table(path + "/SPECTRAL_WINDOW", write=True) as table:
        # NRAO's pipeline tells basebands by a column that the simulator tool does not make.
        table.addcols({"BBC_NO": {"valueType": "int", "comment": "Baseband converter number"}})
        table.putcol("BBC_NO", np.array([12 if "A0C0" in name else 15 for name in table.getcol("NAME")], np.int32))
