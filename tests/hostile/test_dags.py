"""`plan` with hostile names: refused with a sentence, or a DAG in which no name has left its place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch.errors import CcipError
from ccip_batch.verbs.plan import plan

from .words import CANARY, NASTY

SITE = "imaging: {spw: ['2', '17']}\nexecution:\n  engine: htcondor\n  site: local\n"
NAMES = [name for name in NASTY if "\0" not in name]


def shape(dag: Path) -> dict[str, list[str]]:
    """The first word of each line of what HTCondor reads: a name that breaks out of its line changes it."""
    return {
        path.name: [line.split()[0] if line.split() else "" for line in path.read_text().splitlines()]
        for path in sorted(dag.iterdir())
        if path.suffix in (".sub", ".dag", ".sh")
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("plain")
    return shape(plan(make_job(folder / "job", SITE), (), folder / "run").folder.dag)


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned_or_refused(config: Path, run: Path, plain: dict[str, list[str]]) -> None:
    try:
        made = plan(config, (), run)
    except CcipError as error:
        assert str(error)
        assert not (run / "dag" / "ccip.dag").exists()
    else:
        assert shape(made.folder.dag) == plain
    assert not list(Path().rglob(f"*{CANARY}")), "a name was executed"


@pytest.mark.parametrize("key", ["inputs.vis", "inputs.reimaging_resources"])
@pytest.mark.parametrize("name", [name for name in NAMES if len(name) < 200], ids=repr)
def test_names_of_inputs(tmp_path: Path, plain: dict[str, list[str]], key: str, name: str) -> None:
    config = make_job(tmp_path / "job", SITE)
    job = yaml.safe_load(config.read_text())
    kind = key.removeprefix("inputs.")
    old = tmp_path / "job" / job["inputs"][kind]
    new = tmp_path / "job" / (name.replace("/", "_") + old.suffix)
    old.rename(new)
    job["inputs"][kind] = str(new)
    config.write_text(yaml.safe_dump(job))
    planned_or_refused(config, tmp_path / "run", plain)


@pytest.mark.parametrize("name", NAMES[:14], ids=repr)
def test_names_of_the_container_and_the_site(tmp_path: Path, plain: dict[str, list[str]], name: str) -> None:
    config = make_job(tmp_path / "job", SITE)
    job = yaml.safe_load(config.read_text())
    job["execution"]["container"] = f"osdf:///{name}"
    config.write_text(yaml.safe_dump(job))
    try:
        made = plan(config, (), tmp_path / "run")
    except CcipError:
        pass
    else:
        text = (made.folder.dag / "machines.sub").read_text() + (made.folder.dag / "site.sub").read_text()
        assert text.count(name) == text.count(f"osdf:///{name}\n") and "\n" not in name
    job["execution"] = {"engine": "htcondor", "site": name}
    config.write_text(yaml.safe_dump(job))
    with pytest.raises(CcipError):
        plan(config, (), tmp_path / "other")
    assert not list(Path().rglob(CANARY))


@pytest.mark.parametrize("name", [name for name in NAMES if len(name) < 200], ids=repr)
def test_names_of_the_run_folder(tmp_path: Path, plain: dict[str, list[str]], name: str) -> None:
    run = tmp_path / name.replace("/", "_")
    planned_or_refused(make_job(tmp_path / "job", SITE), run, plain)
    script = run / "dag" / "ccip-dag.sh"
    if script.exists():
        subprocess.run([script, "nonsense", "nowhere"], capture_output=True, timeout=120)
        assert not list(Path().rglob(f"*{CANARY}")), "a name was executed"


@pytest.mark.parametrize("name", NAMES[:6], ids=repr)
def test_names_of_nodes_on_the_command_line(tmp_path: Path, name: str) -> None:
    run = plan(make_job(tmp_path / "job", SITE), (), tmp_path / "run")
    done = ccip_batch("node", run.folder.path, name)
    assert done.returncode == 10 and "has no node" in done.stderr
    assert not list(Path().rglob(CANARY))
