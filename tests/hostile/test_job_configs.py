"""Job configs, parameter lists and flag commands from a hostile hand: an error that explains itself, or a job."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from helpers.input_files import CCIP_LIST, JOB, SEIP_LIST, make_job
from hypothesis import example, given
from hypothesis import strategies as st

from ccip_batch.engines.htcondor.sites import read_site
from ccip_batch.errors import CcipError, ConfigError
from ccip_batch.job import flag_commands, parameter_list
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.problems import Problem
from ccip_batch.verbs.check import check

from .words import CANARY, damaged, few, nasty, values

KEYS = (
    "inputs.vis", "inputs.flag_commands", "inputs.reimaging_resources", "imaging.spw", "imaging.niter",
    "imaging.imsize", "imaging.cell", "imaging.iter3.nsigma", "prediction.robust", "execution.workers",
    "execution.site", "execution.container", "execution.memory", "execution.checkpoint_interval",
    "plane_rejection.before_imaging.exclude_spw", "plane_rejection.after_imaging.flagpct_thresh", "unknown",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_job(tmp_path_factory.mktemp("job")).parent


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def judged(config: Path) -> ResolvedJob | None:
    """The job, or None if an error that names its place says why there is none; anything else raises."""
    found = check(config)
    assert not Path(CANARY).exists()
    if not found.problems:
        assert found.resolved is not None
        return found.resolved
    with pytest.raises(CcipError):
        found.raise_if_wrong()
    return None


@few(60)
@given(st.sampled_from(KEYS), values)
def test_values_of_known_keys(folder: Path, key: str, value: object) -> None:
    job = yaml.safe_load(JOB)
    section = job
    *outer, last = key.split(".")
    for name in outer:
        section = section.setdefault(name, {})
    section[last] = value
    config = folder / "changed.yaml"
    try:
        config.write_text(yaml.safe_dump(job), encoding="utf-8", errors="surrogatepass")
    except (yaml.YAMLError, RecursionError):
        return
    resolved = judged(config)
    if resolved:
        assert ResolvedJob.from_yaml(resolved.to_yaml()) == resolved


@few(60)
@given(st.one_of(damaged(JOB.encode()), st.binary(max_size=60)))
@example(b"&a [*a]")
@example(b"inputs: !!python/object/apply:os.system ['touch " + CANARY.encode() + b"']")
@example(b"[" * 5000)
@example(b"? {a: b}\n: c")
def test_damaged_configs(folder: Path, raw: bytes) -> None:
    config = folder / "damaged.yaml"
    config.write_bytes(raw)
    judged(config)


@few(40)
@given(
    st.sampled_from(["imagename", "phasecenter", "spw", "imsize", "cell", "niter", "uvtaper", "imaging_mode"]), values
)
def test_values_of_parameter_lists(tmp_path: Path, folder: Path, key: str, value: object) -> None:
    text = "".join(line for line in CCIP_LIST.splitlines(keepends=True) if not line.startswith(key))
    changed = folder / "CCIP_changed.list"
    changed.write_text(f"{text}{key} = {value!r}\n", encoding="utf-8", errors="replace")
    config = folder / "list.yaml"
    config.write_text(JOB.replace("CCIP_parameter.list", changed.name))
    resolved = judged(config)
    if resolved:  # what has become a part of file names must be plain
        assert re.fullmatch(r"[\w.+-]+", resolved.imagename, re.ASCII)


@few(150)
@given(st.one_of(damaged(SEIP_LIST.encode()), st.binary(max_size=80)))
@example(b"a = " + b"[" * 3000)
@example(b"a = " + b"-" * 3000 + b"1")
@example(b"a = 9" + b"9" * 5000)
@example(f"a = open('{CANARY}', 'w')".encode())
@example(f"a = f\"{{open('{CANARY}', 'w')}}\"".encode())
def test_damaged_parameter_lists(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.list"
    path.write_bytes(raw)
    problems: list[Problem] = []
    found = parameter_list.read(path, problems)
    if found is None:
        assert problems and all(str(path) in str(problem) for problem in problems)
    else:
        assert all(key.isidentifier() for key in found.values)
    assert not Path(CANARY).exists()


@few(100)
@given(st.lists(st.tuples(st.one_of(st.sampled_from(sorted(flag_commands.KEYS)), nasty), nasty), max_size=3))
def test_flag_commands_hold_nothing_that_could_be_evaluated(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    path = tmp_path / "flags.txt"
    path.write_text(" ".join(f"{key}={value}" for key, value in pairs), encoding="utf-8", errors="replace")
    try:
        commands = flag_commands.read(path)
    except ConfigError as error:
        assert str(path) in str(error)
        return
    for command in commands:
        assert not set("(){}`\\$\0") & set(command) and "\n" not in command


@pytest.mark.parametrize(
    "line",
    [
        "mode='manual' reason={exec(bytes([112]).decode())}",  # CASA hands a value in braces to eval
        "mode='manual' reason='{print(1)}'",
        "mode='rflag' timedev='/etc/passwd'",  # would be read
        "mode='shadow' addantenna='/etc/passwd'",
        "mode='manual' outfile='x; touch y'",  # CASA hands it to a shell
        "mode='list' inpfile='/etc/passwd'",
    ],
)
def test_flag_commands_that_would_run_or_read_something(tmp_path: Path, line: str) -> None:
    path = tmp_path / "flags.txt"
    path.write_text(f"# mine\n{line}\n")
    with pytest.raises(ConfigError, match=re.escape(f"{path}:2")):
        flag_commands.read(path)


def test_a_long_line_is_refused_at_once(tmp_path: Path) -> None:
    """A pattern that can read a comma in two ways takes 2^400 steps here."""
    path = tmp_path / "flags.txt"
    path.write_text("spw=1, " * 400 + "(")
    problems: list[Problem] = []
    flag_commands.collect(path, problems)
    assert len(problems) == 1


@few(60)
@given(st.one_of(damaged(b"description: Ours\nhtcondor: 23.9.6\ndata: shared\nmemory_limit: 64 GB\n"), st.binary()))
def test_damaged_site_profiles(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(raw)
    try:
        read_site(path)
    except ConfigError as error:
        assert "site" in str(error)


@few(40)
@given(st.tuples(st.sampled_from(["description", "container", "python", "environment", "requirements"]), values))
def test_values_of_site_profiles(tmp_path: Path, pair: tuple[str, object]) -> None:
    path = tmp_path / "site.yaml"
    try:
        text = yaml.safe_dump({"htcondor": "23.9.6", "data": "shared", pair[0]: pair[1]})
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    except yaml.YAMLError:
        return
    try:
        site = read_site(path)
    except ConfigError:
        return
    for name, value in site.environment.items():
        assert not set(" \n\r\"'$`;") & set(name + value)
