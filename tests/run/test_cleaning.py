"""What is removed at the end of a run, and what is found changed before that."""

from __future__ import annotations

from pathlib import Path

from ccip_batch.run.cleaning import bad_products, clean
from ccip_batch.run.needed import needed_nodes
from ccip_batch.run.run import Run


def test_products_that_were_changed_are_named_and_made_again(copy: Path) -> None:
    run = Run.read(copy)
    assert bad_products(run) == []
    victim = next(run.folder.products.glob("*spw17*.fits"), None) or next(run.folder.products.glob("*.fits"))
    victim.write_bytes(victim.read_bytes()[:-1])
    assert bad_products(run) == [victim.name]
    assert "publish" in needed_nodes(run) and any(name.startswith("export_") for name in needed_nodes(run))


def test_what_was_cleaned_is_needed_again_for_a_plane_alone(copy: Path) -> None:
    run = Run.read(copy)
    clean(run)
    assert not any(run.node("restore").out.iterdir())
    assert needed_nodes(run) == set()
    run.node("export_spw17").result.unlink()
    assert "restore" not in needed_nodes(run)
    run.node("image_spw17").result.unlink()
    assert run.lacks_output_of(run.graph["image_spw17"]) == [run.graph["restore"]]
    assert {"restore", "image_spw17", "export_spw17"} <= needed_nodes(run)
