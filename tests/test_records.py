"""Records, and files that appear only when they are complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from ccip_batch.records import Model, sync_tree, whole_file, write_whole


class Measured(Model):
    rms: float | None
    names: tuple[str, ...] = ()


def test_a_record_comes_back(tmp_path: Path) -> None:
    record = Measured(rms=0.1 + 0.2, names=("é", "b"))
    record.save(tmp_path / "a.json")
    assert Measured.model_validate_json((tmp_path / "a.json").read_bytes()) == record


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_write_becomes_null(tmp_path: Path, value: float) -> None:
    Measured(rms=value).save(tmp_path / "a.json")
    assert '"rms": null' in (tmp_path / "a.json").read_text()


def test_a_record_is_strict_and_frozen() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Measured.model_validate({"rms": 1.0, "rsm": 2.0})
    record = Measured(rms=1.0)
    with pytest.raises(ValidationError, match="frozen"):
        record.rms = 2.0  # type: ignore[misc]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new" * 100_000 + "\ud800")
    assert path.read_text() == "old"
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["x" * 220, "é☃" * 46], ids=["ascii", "bytes"])
def test_two_files_of_one_long_name_are_written_together(tmp_path: Path, name: str) -> None:
    paths = [tmp_path / f"{name}.{kind}.txt" for kind in ("frequencies", "noise")]
    with whole_file(paths[0]) as one, whole_file(paths[1]) as two:
        one.write_text("1")
        two.write_text("2")
        assert not any(path.exists() for path in paths)
    assert [path.read_text() for path in paths] == ["1", "2"] and len(list(tmp_path.iterdir())) == 2


def test_a_file_that_is_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ValueError), whole_file(tmp_path / "a.txt") as path:
        path.write_text("new")
        raise ValueError
    assert (tmp_path / "a.txt").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_only_a_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    os.mkfifo(tmp_path / "b.csv")
    for place in (tmp_path / "a.csv", tmp_path / "b.csv", Path("/dev/null")):
        with pytest.raises(FileExistsError, match="is not a file"), whole_file(place) as partial:
            partial.touch()
    assert Path("/dev/null").is_char_device() and len(list(tmp_path.iterdir())) == 2


def test_a_tree_is_synced_and_one_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("content")
    sync_tree(tmp_path / "a")
    (tmp_path / "a" / "link").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        sync_tree(tmp_path / "a")
