from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from ccip_batch.casa.session import DATA_VARIABLE, copy_table, data_folder
from ccip_batch.errors import DataError


@pytest.fixture
def case(session_cases: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = session_cases["session"]
    return found


def calls(script: str) -> list[str]:
    """The functions that a script calls in its own statements, after its head."""
    body = ast.parse(script).body
    start = max(n for n, line in enumerate(body) if isinstance(line, ast.Import)) + 1
    found = []
    for line in body[start:]:
        if isinstance(line, ast.Expr) and isinstance(line.value, ast.Call):
            found.append(ast.unparse(line.value.func))
    return found


def test_calls_are_recorded_in_order(case: dict[str, Any]) -> None:
    assert case["script"].startswith('"""The CASA calls of the test, in order')
    assert calls(case["script"]) == [
        "shutil.copytree", "casatasks.imsubimage", "os.rename", "image1.open", "image1.convolve2d", "image1.close",
        "shutil.rmtree", "image2.open", "actual.setreferencevalue", "image2.setcoordsys",
        "image2.regrid(outfile='again.image', csys=nominal.torecord(), axes=[0, 1]).done", "image2.close",
    ]  # fmt: skip
    assert case["calls"] >= 8


def test_what_was_recorded_after_a_checkpoint_is_cut_off(case: dict[str, Any]) -> None:
    assert case["failed is recorded"] and "nothing.image" not in case["script"]


def test_errors_of_casa_name_the_task_or_the_table(case: dict[str, Any]) -> None:
    kind, text = case["failed"]
    assert kind == "CasaError" and text.startswith("CASA task imsubimage failed")
    kind, text = case["no table"]
    assert kind == "CasaError" and "nothing.ms" in text


def test_files_are_moved_copied_and_removed(case: dict[str, Any]) -> None:
    assert case["there"] == ["again.image", "given.image", "made.image", "moved.image"]
    assert case["writable"]  # though the source is read-only
    assert case["shape"] == [80, 90, 4, 1]
    assert case["regridded"] == 0.0  # onto its own direction


def test_a_copy_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "table" / "sub").mkdir(parents=True)
    (tmp_path / "table" / "sub" / "table.dat").write_text("rows")
    (tmp_path / "copy.part").mkdir()  # left by a process that was killed
    (tmp_path / "copy.part" / "old").write_text("")
    copy_table(tmp_path / "table", tmp_path / "copy")
    assert [str(path.relative_to(tmp_path)) for path in sorted((tmp_path / "copy").rglob("*"))] == [
        "copy/sub", "copy/sub/table.dat"
    ]  # fmt: skip
    assert not (tmp_path / "copy.part").exists()


def test_another_folder_of_data(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Path(case["data"]) / "geodetic").is_dir()
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=r"has no folder geodetic/"):
        data_folder()
    (tmp_path / "geodetic").mkdir()
    assert data_folder() == tmp_path.resolve()
