"""The pictures of all planes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from ccip_batch.casa.images import STOKES
from ccip_batch.imaging.previews import Previews
from ccip_batch.report.facts import RunFacts
from ccip_batch.report.gallery import KINDS, Gallery, make_gallery


@pytest.fixture(scope="module")
def made(facts: RunFacts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Gallery, Path]:
    folder = tmp_path_factory.mktemp("gallery")
    return make_gallery(facts.planes, folder), folder


def test_previews_of_every_imaged_plane(facts: RunFacts) -> None:
    for plane in facts.planes[1:]:
        previews = Previews.load(plane.image.folder.out / "previews.npz")
        kinds = {"image", "residual", "rms", "pb", "psf", "model", "mask", "tier1", "tier2"}
        kinds |= {f"iter{n}.{kind}" for n in range(4) for kind in ("image", "residual")}
        assert kinds <= previews.arrays.keys()
        image = previews.arrays["image"][0]
        assert plane.native and float(image[image == image].max()) == pytest.approx(1e3 * plane.native.peak, rel=1e-3)


def test_every_imaged_plane_has_all_pictures(made: tuple[Gallery, Path], facts: RunFacts) -> None:
    gallery, folder = made
    assert gallery.planes["9"].pictures == {} and gallery.planes["9"].beam == ""
    for plane in facts.planes[1:]:
        pictures = gallery.planes[plane.spw].pictures
        assert pictures.keys() == KINDS.keys()
        for kind, by_stokes in pictures.items():
            assert by_stokes.keys() == set(STOKES)
            for stokes, picture in by_stokes.items():
                for name in (picture.full, picture.thumb):
                    with Image.open(folder / name) as opened:
                        assert min(opened.size) > 1
                assert picture.words.startswith(f"spw {plane.spw}, ") and f"Stokes {stokes}, from " in picture.words
                layers = {"50% and fitted beam"} if kind == "psf" else {"grid", "primary beam", "masks", "beam"}
                assert picture.layers.keys() == layers
                assert all((folder / file).read_text().startswith("<svg ") for file in picture.layers.values())


def test_every_kind_and_stokes_has_a_colour_bar(made: tuple[Gallery, Path]) -> None:
    gallery, folder = made
    assert gallery.bars.keys() == {f"{kind}.{stokes}" for kind in KINDS for stokes in STOKES}
    for bar in gallery.bars.values():
        assert (folder / "pictures" / f"{bar.colours}.jpg").is_file()
    assert gallery.bars["rms.I"].unit == "mJy/beam" and gallery.bars["pb.I"].unit == ""


def test_beams_are_drawn_on_one_scale(made: tuple[Gallery, Path], facts: RunFacts) -> None:
    drawn, true = [], []
    for plane in facts.planes[1:]:
        size = re.search(r'ry="([\d.]+)"', made[0].planes[plane.spw].beam)
        assert size and plane.images
        drawn.append(float(size[1]))
        true.append(plane.images.beam.major_arcsec)
    assert max(drawn) == pytest.approx(11, abs=0.01)  # half of 22% of the thumbnail
    assert [size / max(drawn) for size in drawn] == pytest.approx([size / max(true) for size in true], abs=1e-3)


def test_nothing_to_show(failed: RunFacts, tmp_path: Path) -> None:
    gallery = make_gallery(failed.planes, tmp_path)
    assert not gallery.bars and not list((tmp_path / "pictures").iterdir())
