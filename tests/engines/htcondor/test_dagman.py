"""What the logs of DAGMan tell of a DAG, and the rescue files that it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccip_batch.engines.htcondor.dagman import Dag, DagFile, last_dag, refuse_while_alive, remove_rescue, write_rescue
from ccip_batch.errors import RunFolderError
from ccip_batch.run.folder import RunFolder

SUBMITTED = "000 (041.000.000) 2026-01-02 03:04:05 Job submitted from host: <127.0.0.1:9618>\n...\n"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    (tmp_path / "dag").mkdir()
    return RunFolder(tmp_path)


@pytest.mark.parametrize(
    ("log", "dag"),
    [
        ("", None),
        (SUBMITTED, Dag(41, True, False)),
        (SUBMITTED + "012 (041.000.000) 2026 Job was held.\n", Dag(41, True, True)),
        (SUBMITTED + "012 (041.000.000) 2026\n013 (041.000.000) 2026\n", Dag(41, True, False)),
        (SUBMITTED + "005 (041.000.000) 2026 Job terminated.\n", Dag(41, False, False)),
        (SUBMITTED + "009 (040.000.000) 2026 Job was aborted.\n", Dag(41, True, False)),
        (SUBMITTED + "009 (041.000.000) 2026\n" + SUBMITTED.replace("041", "052"), Dag(52, True, False)),
    ],
)
def test_the_last_submission(run: RunFolder, log: str, dag: Dag | None) -> None:
    assert last_dag(DagFile.of(run)) is None
    (run.dag / "ccip.dag.dagman.log").write_text(log)
    assert last_dag(DagFile.of(run)) == dag
    if dag is not None and dag.alive:
        with pytest.raises(RunFolderError, match=f"in the queue .job {dag.cluster}"):
            refuse_while_alive(run)
    else:
        refuse_while_alive(run)


def test_rescue_files_are_counted_on(run: RunFolder) -> None:
    assert write_rescue(DagFile.of(run), ["restore"]) == 1
    (run.dag / "ccip.dag.rescue007").touch()
    assert write_rescue(DagFile.of(run), ["restore", "image_spw02"]) == 8
    assert "DONE restore\nDONE image_spw02\n" in (run.dag / "ccip.dag.rescue008").read_text()
    remove_rescue(DagFile.of(run), 8)
    assert write_rescue(DagFile.of(run), []) == 8
    (run.dag / "ccip.dag.rescue999").touch()
    with pytest.raises(RunFolderError, match="999 rescue files"):
        write_rescue(DagFile.of(run), [])
