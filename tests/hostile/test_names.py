"""Names that CASA would take for something else: given to it as plain ones, or refused before anything runs."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml
from helpers.input_files import CONTINUUM, ROOT, add_member, make_job
from helpers.simulated_runs import ccip_batch, make_simulation

from ccip_batch.job.casa_names import is_plain, unfit_in_folder
from ccip_batch.job.config import load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.stages.publish import pack_logs

from .words import CANARY

POOL = ("--set", "execution.engine=htcondor", "--set", "execution.site=nrao")
UNFIT = ["quote'quote", f"x'; touch {CANARY}; 'y", 'quote"quote', "a$HOME", "${HOME}", "a::b"]
FIT = ["a b", "a:b", "-rf", "~", "a?b*c[d]", "{x}%s,@=+#!()", "a;b&c|d<e>f`g`", "back\\slash", "é☃", "line\nline"]


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", UNFIT)
@pytest.mark.parametrize("verb", [("validate",), ("run",), ("plan", *POOL)], ids=lambda words: words[0])
def test_a_run_folder_that_casa_cannot_work_in(tmp_path: Path, verb: tuple[str, ...], name: str) -> None:
    """Also if the name is that of a folder above, or stands behind a link."""
    job = make_job(tmp_path / "job")
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(name)
    for run in (tmp_path / name / "run", tmp_path / "link" / "run"):
        done = ccip_batch(*verb, job, "--run-dir", run)
        assert done.returncode == 10, done.stderr
        assert repr(str(tmp_path / name / "run")) in done.stderr and "--run-dir" in done.stderr
        assert unfit_in_folder(Path(name)) in done.stderr
    assert not list((tmp_path / name).iterdir())


@pytest.mark.parametrize("name", FIT)
def test_a_run_folder_that_casa_can_work_in(tmp_path: Path, name: str) -> None:
    done = ccip_batch("plan", make_job(tmp_path / "job"), "--run-dir", tmp_path / name / "run", *POOL)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["x" * 250] * 13), "byte\udcff"], ids=["name", "path", "byte"])
def test_a_run_folder_that_no_file_can_be_in(tmp_path: Path, name: str) -> None:
    job = make_job(tmp_path / "job")
    for verb in (("validate",), ("run",), ("plan", *POOL)):
        done = ccip_batch(*verb, job, "--run-dir", tmp_path / name)
        assert done.returncode == 10 and "Give a" in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


@pytest.mark.parametrize("name", ["line\nline.list", "byte\udcff.list", "x" * 300])
def test_a_parameter_list_whose_name_no_product_can_have(tmp_path: Path, name: str) -> None:
    job = make_job(tmp_path / "job")
    if len(name) < 256:
        (tmp_path / "job" / "SEIP_parameter.list").rename(tmp_path / "job" / name)
    words = ("--set", f"inputs.seip_parameter_list={json.dumps(str(tmp_path / 'job' / name))}")
    for verb in (("run",), ("plan", *POOL)):
        done = ccip_batch(*verb, job, "--run-dir", tmp_path / "run", *words)
        assert done.returncode == 10 and "inputs.seip_parameter_list" in done.stderr, done.stderr
    assert not (tmp_path / "run").exists()


def test_what_runs_elsewhere_may_have_any_run_folder(tmp_path: Path) -> None:
    (tmp_path / "far.yaml").write_text("description: Far\nhtcondor: 23.9.6\ndata: transfer\n")
    words = ("--set", "execution.engine=htcondor", "--set", "execution.site=far")
    done = ccip_batch("plan", make_job(tmp_path / "job"), "--run-dir", "it's here", *words, CCIP_SITES=str(tmp_path))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "stem", ["a b", "a'b", "a$HOME", "a::b", "-a", "~a", "a?", "a*", "a[b]", "é", "a\nb", "x" * 240]
)
def test_a_measurement_set_whose_name_casa_does_not_take(tmp_path: Path, stem: str) -> None:
    job = make_job(tmp_path / "job")
    (tmp_path / "job" / f"{ROOT}.ms").rename(tmp_path / "job" / f"{stem}.ms")
    config = yaml.safe_load(job.read_text())
    config["inputs"]["vis"] = f"./{stem}.ms"
    job.write_text(yaml.safe_dump(config))
    for verb in (("run",), ("plan", *POOL)):
        done = ccip_batch(*verb, job, "--run-dir", tmp_path / "run")
        assert done.returncode in (10, 11)
        assert "a name that CASA does not take" in done.stderr and "Rename it" in done.stderr
        assert repr(f"{stem}.ms") in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("part", ["s$HOME", f"s'; touch {CANARY}; '", "s[1]", "s 4"])
def test_a_name_in_the_archive_that_casa_does_not_take(tmp_path: Path, part: str) -> None:
    job = make_job(tmp_path / "job")
    archive = tmp_path / "job" / "reimaging_resources.tgz"
    kept, name = archive.with_suffix(".old"), f"{part}_0.{CONTINUUM}.QLcatmask-tier1.mask"
    archive.rename(kept)
    with tarfile.open(kept) as old, tarfile.open(archive, "w:gz") as new:
        for member in old:
            if "QLcatmask" not in member.name:
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
        add_member(new, f"{name}/table.dat")
    for verb in (("validate",), ("plan", *POOL)):
        done = ccip_batch(*verb, job, "--run-dir", tmp_path / "run")
        assert done.returncode == 11
        assert repr(name) in done.stderr and "tier-1 mask" in done.stderr and "Take the archive" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_simulation_is_not_made_where_casa_cannot_work(tmp_path: Path) -> None:
    done = ccip_batch("simulate", tmp_path / "it's", "--preset", "small")
    assert done.returncode == 11 and "a quote (')" in done.stderr and not (tmp_path / "it's").exists()


def test_logs_lose_folders_with_blanks_and_quotes(tmp_path: Path) -> None:
    """As they are in CASA's log, and as Python writes them."""
    job = resolve(load_job(make_job(tmp_path / 'it\'s "here" now')))
    nodes = tmp_path / "my runs, all" / "nodes"
    (nodes / "restore").mkdir(parents=True)
    vis = job.inputs.vis
    (nodes / "restore" / "casa.log").write_text(f"{vis} {nodes}/restore/work\nos.symlink({str(vis)!r}, 'a.ms')\n")
    pack_logs(job, nodes, tmp_path / "logs.tgz")
    with tarfile.open(tmp_path / "logs.tgz") as tar:
        member = tar.extractfile("restore/casa.log")
        assert member is not None
        text = member.read().decode()
    assert text == f"INPUTS/{ROOT}.ms RUN/nodes/restore/work\nos.symlink('INPUTS/{ROOT}.ms', 'a.ms')\n"


def test_names_of_the_survey_are_plain() -> None:
    assert is_plain(ROOT) and is_plain(CONTINUUM)


@pytest.mark.slow
def test_inputs_are_restored_from_a_folder_of_any_name(tmp_path: Path) -> None:
    """CASA copies a table with a shell, replaces variables, and has a syntax for parts of tables."""
    source = make_simulation("small").parent
    folder = tmp_path / f"x'; touch {CANARY}; 'y$HOME \"::?*[~"
    folder.mkdir()
    for path in source.iterdir():
        if path.suffix in (".list", ".tgz", ".yaml"):
            shutil.copy(path, folder)
        elif path.suffix == ".ms":
            shutil.copytree(path, folder / path.name)
    job, run = folder / "job.yaml", tmp_path / "run"
    found = ccip_batch("validate", job, "--run-dir", run, TMPDIR=str(folder))
    assert found.returncode == 0 and "could not be checked" not in found.stderr, found.stderr
    assert ccip_batch("plan", job, "--run-dir", run, *POOL).returncode == 0
    done = ccip_batch("node", run, "restore")
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob(CANARY)) and list((run / "nodes/restore/out").glob("*.ms/POINTING/table.dat"))
