"""The end of a run, for both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccip_batch import report
from ccip_batch.engines.finish import finish
from ccip_batch.run.run import Run


def test_products_are_checked_and_only_then_cleaned(copy: Path) -> None:
    run = _keeping(copy, "products")
    assert finish(run, done=False) == [] and any(run.node("restore").out.iterdir())
    assert finish(run, done=True) == [] and not any(run.node("restore").out.iterdir())


def test_what_is_kept_is_not_cleaned(copy: Path) -> None:
    run = _keeping(copy, "debug")
    assert finish(run, done=True) == [] and any(run.node("restore").out.iterdir())


def test_a_changed_product_is_named_reported_and_nothing_is_cleaned(copy: Path) -> None:
    run = _keeping(copy, "products")
    victim = next(run.folder.products.glob("*.fits"))
    victim.write_bytes(b"x")
    (run.folder.report / "index.html").unlink()
    assert finish(run, done=True) == [victim.name]
    assert any(run.node("restore").out.iterdir()) and (run.folder.report / "index.html").is_file()


def test_a_report_that_cannot_be_written_is_told_and_fails_nothing(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(run: Run) -> Path:
        raise ValueError("no ink")

    monkeypatch.setattr(report, "write", fails)
    run = _keeping(copy, "products")
    assert finish(run, done=True) == [] and not any(run.node("restore").out.iterdir())
    assert "the report could not be written: ValueError: no ink" in capsys.readouterr().err


def _keeping(folder: Path, keep: str) -> Run:
    resolved = folder / "job.resolved.yaml"
    resolved.write_text(resolved.read_text().replace("keep: all", f"keep: {keep}"))
    run = Run.read(folder)
    assert run.job.execution.keep == keep
    return run
