"""What `publish` gives to the archive: names, checksums, manifest, logs."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from helpers.finished_runs import imagename

IMAGENAME_GROUPS = {"10": "10", "12,13": "12_13", "17": "17"}
KINDS = ("image.pbcor.tt0.subim", "image.pbcor.tt0.rms.subim", "image.pbcor.tt0.subim.com")


def test_products_of_every_plane(finished: Path) -> None:
    name = imagename(finished)
    expected = {
        f"{name}.spw{label}.{stokes}.iter3.{kind}.fits"
        for label in IMAGENAME_GROUPS.values()
        for stokes in ("IQU", "V")
        for kind in KINDS
    }
    assert {path.name for path in finished.glob("products/*.fits")} == expected | {
        f"{name.removesuffix('.v1')}.V_mean_minmaxrej.subim.fits"
    }


def test_checksums_fit(finished: Path) -> None:
    lines = (finished / "products" / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == len(list((finished / "products").iterdir())) - 1
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((finished / "products" / name).read_bytes()).hexdigest() == digest, name


def test_manifest_leaves_common_beam_files_out(finished: Path) -> None:
    from xml.etree import ElementTree

    root = ElementTree.parse(finished / "products" / "pipeline_manifest.xml").getroot()
    names = {element.get("name") for element in root.iter("image")}
    native = {path.name for path in finished.glob("products/*.fits") if not path.name.endswith(".com.fits")}
    assert names == native
    assert {element.get("name") for element in root.iter("parameter_list")} == {
        "SEIP_parameter.list",
        "CCIP_parameter.list",
    }


def test_logs_hold_no_folders_of_this_machine(small_job: Path, finished: Path) -> None:
    with tarfile.open(next(finished.glob("products/*.logs.tgz"))) as tar:
        logs = {member.name: tar.extractfile(member).read().decode() for member in tar}  # type: ignore[union-attr]
    assert not [name for name, text in logs.items() if str(small_job.parent) in text]
    assert "os.symlink('INPUTS/" in logs["restore/casa_commands.py"]
    assert "RUN/nodes/export_spw17" in logs["export_spw17/casa.log"]
    script = (finished / "nodes" / "restore" / "casa_commands.py").read_text()
    assert len(logs["restore/casa_commands.py"].splitlines()) == len(script.splitlines())
