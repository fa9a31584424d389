"""The input files of a job, as small as the checks without CASA allow."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from ccip_batch.errors import ConfigError
from ccip_batch.job.config import load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.job.table_files import REQUIRED

ROOT = "VLASS2.1.sb01.eb01.59066.5_J133336+164404"
CONTINUUM = "VLASS2.1.se.T00t00.J133336+164404.06.512.v1"

CCIP_LIST = """\
imagename='VLASS2.1.cc.T00t00.J133336+164404.06.512.v1'
phasecenter='J2000 13:33:35.814 +16.44.04.255'
imaging_mode='VLASS-SE-CUBE'
imsize=[512, 512]
cell=['6arcsec']
niter=200
"""
SEIP_LIST = f"""\
imagename='{CONTINUUM}'
phasecenter='J2000 13:33:35.814 +16.44.04.255'
imaging_mode='VLASS-SE-CONT-MOSAIC'
imsize=[512, 512]
cell=['6arcsec']
niter=200
uvtaper=['26.476arcsec']
spw='2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17'
"""
TABLES = (
    f"s4_0.{CONTINUUM}.QLcatmask-tier1.mask",
    f"s12_0.{CONTINUUM}.combined-tier2.mask",
    f"s12_0.{CONTINUUM}.secondmask.mask",
    f"s5_0.{CONTINUUM}.I.iter1.model.tt0",
    f"s5_0.{CONTINUUM}.I.iter1.model.tt1",
    f"s13_0.{CONTINUUM}.I.iter3.model.tt0",
    f"{ROOT}_split.ms.hifv_selfcal.s8_1.phase-self-cal.tbl",
    f"{ROOT}_split.ms.flagversions/flags.statwt_1",
    f"{ROOT}_split.ms.flagversions/flags.se_initial",
)
"""Each resource once, and three tables that are not needed."""
JOB = f"""\
inputs:
  vis: {ROOT}.ms
  reimaging_resources: reimaging_resources.tgz
  seip_parameter_list: SEIP_parameter.list
  ccip_parameter_list: CCIP_parameter.list
"""


def add_member(tar: tarfile.TarFile, name: str, content: bytes = b"content", **attributes: object) -> None:
    """Write one member; attributes are those of TarInfo."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in attributes.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def table_dat(rows: int = 0) -> bytes:
    """The beginning of a `table.dat` as casacore writes it, as an object that ends there: a table with no columns."""
    content = struct.pack(">I5sIII", 5, b"Table", 2, rows, 1)
    return b"\xbe\xbe\xbe\xbe" + struct.pack(">I", 4 + len(content)) + content


def add_table(tar: tarfile.TarFile, name: str) -> None:
    """Write a table: a folder, its `table.dat` and a subtable."""
    add_member(tar, name, b"", type=tarfile.DIRTYPE, mode=0o755)
    add_member(tar, f"{name}/table.dat", table_dat() + name.encode())
    add_member(tar, f"{name}/KEYWORDS/table.dat", b"subtable")


def make_archive(path: Path, tables: Iterable[str] = TABLES) -> Path:
    """Write a `reimaging_resources.tgz` of empty tables."""
    with tarfile.open(path, "w:gz") as tar:
        for table in tables:
            add_table(tar, table)
        add_member(tar, f"{ROOT}_split.ms.flagversions/FLAG_VERSION_LIST", b"statwt_1 : flags\n")
    return path


def make_job(folder: Path, extra: str = "", ccip: str = CCIP_LIST, seip: str = SEIP_LIST) -> Path:
    """Write all inputs and `job.yaml`, which ends with `extra`; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("", *REQUIRED):
        table = folder / f"{ROOT}.ms" / name
        table.mkdir(exist_ok=True)
        (table / "table.dat").write_bytes(table_dat())
    (folder / "CCIP_parameter.list").write_text(ccip)
    (folder / "SEIP_parameter.list").write_text(seip)
    make_archive(folder / "reimaging_resources.tgz")
    job = folder / "job.yaml"
    job.write_text(JOB + extra)
    return job


def refused(job: Path, *overrides: str) -> str:
    """The message with which a job config is refused, by itself or together with its parameter lists."""
    with pytest.raises(ConfigError) as caught:
        resolve(load_job(job, overrides))
    return str(caught.value)
