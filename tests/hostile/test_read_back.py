"""What is read back, damaged: a node is run again or an error names the file; never a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ccip_batch.cube.planes.plane import find_planes
from ccip_batch.engines.htcondor.event_log import read_nodes
from ccip_batch.errors import CcipError, DataError
from ccip_batch.imaging.checkpoint import Checkpoint, State
from ccip_batch.imaging.previews import Previews
from ccip_batch.imaging.samples import Samples
from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.failures import read_failure
from ccip_batch.run.results import NodeResult, Usage, read_result
from ccip_batch.run.run import Run
from ccip_batch.verbs.plan import plan
from ccip_batch.verbs.verify import verify

from .words import damaged, few, nasty

LOGS = Path(__file__).parents[1] / "data" / "event_logs"
RESULT = NodeResult(
    node="restore",
    kind="restore",
    spw=None,
    fingerprint="f" * 64,
    summary="done",
    started=1.0,
    ended=2.0,
    host="here",
    attempts=1,
    usage=Usage(cpu_s=1.0, peak_memory_bytes=1, wall_s=1.0),
    versions={"ccip_batch": "0"},
    stages=[],
    files=(ProductFile(name="a.fits", bytes=1, sha256="0" * 64),),
)


@few(150)
@given(damaged(RESULT.model_dump_json(indent=1).encode()))
def test_results(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(raw)
    result = read_result(path)
    assert result is None or result.files[0].name not in ("..", ".")
    assert read_failure(path) is None


@few(60)
@given(nasty)
def test_names_of_files_stay_in_their_folder(name: str) -> None:
    try:
        file = ProductFile(name=name, bytes=0, sha256="0" * 64)
    except ValidationError:
        return
    assert Path("/a/b", file.name).parent == Path("/a/b") and file.name not in ("", ".", "..")


@few(60)
@given(st.data())
def test_run_folder_files(tmp_path: Path, data: st.DataObject) -> None:
    run_path = tmp_path / "run"
    if not run_path.exists():
        config = make_job(tmp_path / "job", "execution: {engine: htcondor, site: local}\nimaging: {spw: ['2']}\n")
        shutil.copytree(plan(config, (), run_path).folder.path, tmp_path / "good")
    for name in ("job.resolved.yaml", "dag/inputs.json"):
        shutil.copyfile(tmp_path / "good" / name, run_path / name)
    victim = run_path / data.draw(st.sampled_from(["job.resolved.yaml", "dag/inputs.json"]))
    victim.write_bytes(data.draw(damaged(victim.read_bytes())))
    try:
        run = Run.read(run_path)
        assert not run.is_done(run.graph["restore"])
        verify(run_path)
    except CcipError as error:
        assert str(error)


def test_a_damaged_result_is_told_by_status_and_verify(tmp_path: Path) -> None:
    config = make_job(tmp_path / "job", "execution: {engine: htcondor, site: local}\nimaging: {spw: ['2']}\n")
    run = plan(config, (), tmp_path / "run")
    folder = run.node(run.graph["restore"])
    folder.path.mkdir(parents=True)
    folder.result.write_text(RESULT.model_dump_json()[:-20])
    status = ccip_batch("status", run.folder.path, "--json")
    assert status.returncode == 0, status.stderr
    assert {row["state"] for row in json.loads(status.stdout)} == {"waiting"}
    done = ccip_batch("verify", run.folder.path)
    assert done.returncode == 13 and f"{folder.result}: is damaged" in done.stderr


@few(60)
@given(st.data())
def test_arrays(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "samples.npz"
    Samples(
        shape=(8, 8),
        y=np.arange(5, dtype=np.int32),
        x=np.arange(5, dtype=np.int32),
        values=np.ones((4, 5), np.float32),
        means=np.ones((4, 5), np.float32),
        rms=np.ones(5, np.float32),
        inside_iter3=np.ones(5, bool),
    ).save(path)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    for kind in (Samples, Previews):
        try:
            kind.load(path)
        except DataError as error:
            assert str(path) in str(error)


@few(40)
@given(st.binary(max_size=200))
def test_checkpoints(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "state.json").write_bytes(raw)
    assert Checkpoint(tmp_path, "f").load() is None


@few(60)
@given(st.data())
def test_models_of_checkpoints(tmp_path: Path, data: st.DataObject) -> None:
    """One that is damaged is not gone on from."""
    table = tmp_path / "model.tt0"
    table.mkdir(exist_ok=True)
    (table / "table.dat").write_bytes(bytes(1000))
    saved = Checkpoint(tmp_path / "checkpoint", "f")
    state = State(
        fingerprint="f", iteration=1, ended=True, iterations=5, major_cycles=2, convergence={}, results=[], cycle_s=1.0,
        script_bytes=0, model=saved.save_model(table), residual="",
    )  # fmt: skip
    saved.save(state)
    assert saved.load() == state
    model = saved.folder / state.model.name
    before = model.read_bytes()
    model.write_bytes(data.draw(damaged(before)))
    assert saved.load() == (state if model.read_bytes() == before else None)


def test_checkpoints_of_older_versions(tmp_path: Path) -> None:
    """These had images, and said in which folder; the plane starts over."""
    (tmp_path / "save_1_3" / "residual").mkdir(parents=True)
    old = {
        "fingerprint": "f", "iteration": 1, "ended": False, "iterations": 9, "major_cycles": 3, "convergence": {},
        "results": [], "cycle_s": 1.0, "script_bytes": 7, "folder": "save_1_3",
    }  # fmt: skip
    (tmp_path / "state.json").write_text(json.dumps(old))
    assert Checkpoint(tmp_path, "f").load() is None


# what astropy finds wrong with a damaged file
@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyUserWarning")
@few(80)
@given(st.data())
def test_fits(tmp_path: Path, data: st.DataObject) -> None:
    """Planes from an archive, one of them damaged."""
    name = "VLASS2.1.cc.T00t00.J133336+164404.06.512.v1.spw2.IQU.iter3.image.pbcor.tt0.subim.fits"
    path = tmp_path / name
    header = fits.Header()
    axes = (
        ("RA---SIN", 203.0, -1e-3, "deg"),
        ("DEC--SIN", 16.0, 1e-3, "deg"),
        ("FREQ", 2e9, 1e8, "Hz"),
        ("STOKES", 1, 1, ""),
    )
    for n, (kind, value, step, unit) in enumerate(axes, 1):
        header[f"CTYPE{n}"], header[f"CRPIX{n}"] = kind, 1.0
        header[f"CRVAL{n}"], header[f"CDELT{n}"], header[f"CUNIT{n}"] = value, step, unit
    header["BMAJ"], header["BMIN"], header["BPA"], header["BUNIT"] = 5e-3, 4e-3, 10.0, "Jy/beam"
    header["VLASSRJ"], header["VLASSPL"] = False, "IQU"
    fits.PrimaryHDU(np.ones((3, 1, 8, 8), np.float32), header).writeto(path, overwrite=True)
    raw = path.read_bytes()
    cut = data.draw(st.integers(80, 4000))
    path.write_bytes(data.draw(damaged(raw[:cut])) + raw[cut:])
    try:
        for plane in find_planes(tmp_path):
            assert plane.read("I").shape == plane.shape
            assert plane.frequency > 0
    except CcipError as error:
        assert name in str(error) or str(tmp_path) in str(error)


@few(60)
@given(st.data())
def test_event_logs(tmp_path: Path, data: st.DataObject) -> None:
    pytest.importorskip("htcondor2")
    good = LOGS / data.draw(st.sampled_from(["completed.jobs.log", "held_memory.jobs.log", "evicted.jobs.log"]))
    path = tmp_path / "jobs.log"
    path.write_bytes(data.draw(damaged(good.read_bytes())))
    try:
        rows = read_nodes(path)
    except DataError as error:
        assert str(path) in str(error)
        return
    for row in rows:
        assert (row.node + row.reason + (row.host or "")).isprintable()
