"""How far CASA's measures tables reach: later observations get no Earth orientation, only a warning in CASA's log."""

from __future__ import annotations

from datetime import date, timedelta

from ccip_batch.casa.session import Casa, data_folder
from ccip_batch.records import Model

MJD_ZERO = date(1858, 11, 17)
"""Day 0 of the modified Julian date."""


class Reach(Model):
    """The last days (UTC) that the Earth orientation tables of the IERS hold."""

    measured: date
    """Last day of the measured series (geodetic/IERSeop2000)."""
    predicted: date
    """Last day of the predictions (geodetic/IERSpredict)."""


def reach(casa: Casa) -> Reach:
    """How far the tables in the data folder that CASA uses reach. Raises CasaError if a table cannot be read."""
    days = []
    for name in ("IERSeop2000", "IERSpredict"):
        with casa.table(str(data_folder() / "geodetic" / name)) as table:
            days.append(MJD_ZERO + timedelta(days=int(table.getcell("MJD", table.nrows() - 1))))
    return Reach(measured=days[0], predicted=days[1])
