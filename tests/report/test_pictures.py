"""Stretches, colours, pictures, and the lines over them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ccip_batch.casa.images import RestoringBeam
from ccip_batch.report.facts import RunFacts
from ccip_batch.report.pictures import (
    NO_VALUE,
    Frame,
    Stretch,
    Stretches,
    beam_ellipse,
    colour,
    colour_table,
    contour_svg,
    grid_svg,
    montage,
    noise,
    psf_svg,
    shrink,
    write_picture,
)

NUMBER = r"-?[\d.]+"


def test_noise_is_that_of_the_pixels_with_a_value() -> None:
    image = np.zeros((200, 200), np.float32)
    image[60:140, 60:140] = np.random.default_rng(1).normal(scale=0.5, size=(80, 80))
    image[0] = np.nan
    assert noise(image) == pytest.approx(0.5, rel=0.05)
    assert 0 < noise(np.zeros((4, 4))) < 1e-3


def test_a_stretch_ends_at_its_limits_and_has_zero_in_the_middle_of_even_ones() -> None:
    stretch = Stretch(-10.0, 10.0, 0.5, "diverging", "mJy/beam")
    assert stretch.place([-20, -10, 0, 10, 20]) == pytest.approx([0, 0, 0.5, 1, 1])
    assert np.isnan(stretch.place(np.nan))
    assert np.all(np.diff(stretch.place(np.linspace(-10, 10, 101))) > 0)


@pytest.mark.parametrize("soft", [0.0, 0.5])
def test_ticks_are_where_their_values_are(soft: float) -> None:
    stretch = Stretch(-3.0, 90.0, soft, "sequential", "mJy/beam")
    ticks = stretch.ticks()
    assert (ticks[0], ticks[-1]) == ((0.0, "-3"), (1.0, "90"))
    for place, text in ticks:
        assert float(stretch.place(float(text))) == pytest.approx(place, abs=0.01)


def test_colours_are_upright_and_blank_pixels_are_grey() -> None:
    values = np.array([[0.0, 1.0], [np.nan, 0.5]])
    rgba = colour(values, Stretch(0.0, 1.0, 0.0, "sequential", ""))
    table = colour_table("sequential")
    assert tuple(rgba[0, 0]) == (*NO_VALUE, 255)
    assert tuple(rgba[1, 0]) == (*table[0], 255) and tuple(rgba[1, 1]) == (*table[255], 255)


def test_pictures_are_jpeg_files(tmp_path: Path) -> None:
    write_picture(colour(np.ones((30, 50)), Stretch(0.0, 1.0, 0.0, "diverging", "")), tmp_path / "one.jpg")
    with Image.open(tmp_path / "one.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", (50, 30))


def test_shrinking_keeps_the_mean_and_passes_over_blank_pixels() -> None:
    values = np.random.default_rng(2).normal(size=(40, 60))
    assert shrink(values, 60) is values
    small = shrink(values, 20)
    assert small.shape == (14, 20)
    assert small[0, 0] == pytest.approx(values[:3, :3].mean(), rel=1e-6)
    values[:3, :3] = np.nan
    values[3, 3] = np.nan
    again = shrink(values, 20)
    assert np.isnan(again[0, 0]) and again[1, 1] == pytest.approx(np.nanmean(values[3:6, 3:6]), rel=1e-6)


def test_planes_share_a_stretch(facts: RunFacts) -> None:
    stretches, alone = Stretches(), []
    for plane in facts.planes[1:]:
        previews = plane.previews("image", "residual", "rms")
        assert previews
        stretches.add(previews)
        one = Stretches()
        one.add(previews)
        alone.append(one)
    assert stretches.of("image", "I").high == max(one.of("image", "I").high for one in alone)
    for stokes in "QUV":
        stretch = stretches.of("image", stokes)
        assert stretch.low == -stretch.high and stretch.colours == "diverging"
    assert stretches.of("pb", "I") == Stretch(0.0, 1.0, 0.0, "sequential", "")


def test_montages_have_a_row_for_each_iteration(facts: RunFacts) -> None:
    previews = facts.planes[1].previews()
    assert previews
    images, residuals = montage(previews, "image"), montage(previews, "residual")
    assert images and images[1] == ["iter0", "iter1", "iter2", "iter3", "model"]
    assert residuals and residuals[1] == ["iter0", "iter1", "iter2", "iter3"]
    side = previews.arrays["iter0.residual"].shape[1]
    assert residuals[0].shape == (4 * side + 3 * 4, 4 * side + 3 * 4, 4)
    assert montage(type(previews)(), "image") is None


HEADER = {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CRVAL1": 203.4, "CRVAL2": 16.7, "CRPIX1": 100.5, "CRPIX2": 50.5,
          "CDELT1": -10 / 3600, "CDELT2": 10 / 3600, "CUNIT1": "deg", "CUNIT2": "deg"}  # fmt: skip


def test_a_frame_counts_units_downwards() -> None:
    frame = Frame(HEADER, (100, 200))
    assert frame.height == 500 and frame.arcsec == pytest.approx(2.0)
    corners = frame.to_units(np.array([[-0.5, -0.5], [199.5, 99.5], [99.5, 49.5]]))
    assert corners == pytest.approx(np.array([[0, 500], [1000, 0], [500, 250]]))


def test_a_beam_has_its_size_and_turns_to_the_east() -> None:
    beam = RestoringBeam(major_arcsec=40, minor_arcsec=20, pa_deg=30)
    text = beam_ellipse(Frame(HEADER, (100, 200)), beam, (500, 250))
    rx, ry, angle = (
        float(re.search(p, text)[1]) for p in (f'rx="({NUMBER})', f'ry="({NUMBER})', rf"rotate\(({NUMBER})")
    )
    assert (rx, ry) == (5, 10)  # semi-axes: 2 arcsec per unit
    assert angle == -30  # SVG turns clockwise; east is to the left


def test_a_contour_is_where_the_level_is() -> None:
    y, x = np.indices((100, 200))
    cone = 50 - np.hypot(x - 99.5, y - 49.5)
    text = contour_svg(Frame(HEADER, (100, 200)), [(cone, (10,), 'stroke="red"')])
    points = np.array([p.split() for p in re.findall(rf"{NUMBER} {NUMBER}", text.split(' d="')[1])], float)
    assert np.hypot(points[:, 0] - 500, points[:, 1] - 250) == pytest.approx(200, abs=1.5)  # 40 pixels of 5 units


def test_a_layer_that_was_reduced_more_lies_on_what_it_outlines() -> None:
    """A cutout of 997 pixels: the image's preview has 499, of two each, the mask's 250, of four, and each a rest."""
    mask = np.zeros((250, 250), bool)
    mask[100:150, 220:240] = True  # pixels 880 to 959 of the cutout
    text = contour_svg(Frame(HEADER | {"reduced": 2}, (499, 499)), [(mask, (0.5,), 'stroke="red"')], 4 / 2)
    points = np.array([p.split() for p in re.findall(rf"{NUMBER} {NUMBER}", text.split(' d="')[1])], float)
    assert points[:, 0].min() == pytest.approx(880 / 2 / 499 * 1000, abs=0.1)
    assert points[:, 0].max() == pytest.approx(960 / 2 / 499 * 1000, abs=0.1)


def test_the_grid_is_labelled_with_its_coordinates() -> None:
    labels = re.findall(r">([^<>]+)</text>", grid_svg(Frame(HEADER, (100, 200))))
    assert "13h33m30s" in labels or "13h33m40s" in labels
    assert "+16°40′00″" in labels


@pytest.mark.parametrize("ra", [203.0 + shift / 50 for shift in range(8)])
def test_labels_end_inside_the_frame(ra: float) -> None:
    text = grid_svg(Frame(HEADER | {"CRVAL1": ra}, (100, 200)))
    labels = re.findall(rf'<text x="({NUMBER})" y="{NUMBER}"( text-anchor="end")?>([^<>]+)<', text)
    assert labels
    for x, end, words in labels:
        width = 11 * len(words)  # at a font size of 20
        assert float(x) - (width if end else 0) >= 0 and float(x) + (0 if end else width) <= 1000, words


@pytest.mark.parametrize(("dec", "high", "every"), [(89.5, 360, False), (89.6, 420, True), (-89.6, 420, True)])
def test_the_grid_around_a_pole(dec: float, high: int, every: bool) -> None:
    header = HEADER | {"CRVAL2": dec, "CRPIX1": high / 2, "CRPIX2": high / 2, "CDELT1": -1 / 360, "CDELT2": 1 / 360}
    text = grid_svg(Frame(header, (high, high)))
    labels = re.findall(r">([^<>]+)</text>", text)
    hours = {label[:2] for label in labels if "h" in label}
    assert "nan" not in text and len(labels) <= 16 and len(hours) >= (6 if every else 3)
    assert any("°" in label for label in labels)
    places = np.array(re.findall(rf'x="({NUMBER})" y="({NUMBER})"', text), float)
    assert ((places >= 0) & (places <= 1010)).all()


def test_the_contour_of_a_gaussian_psf_is_that_of_its_beam() -> None:
    y, x = np.indices((101, 101)) - 50
    psf = np.exp(-4 * np.log(2) * (x**2 + y**2) / 20**2)
    text = psf_svg(Frame(HEADER, (101, 101)), psf, RestoringBeam(major_arcsec=200, minor_arcsec=200, pa_deg=0))
    points = np.array(
        [p.split() for p in re.findall(rf"{NUMBER} {NUMBER}", re.findall(r' d="([^"]+)', text)[0])], float
    )
    radius = float(re.search(f'rx="({NUMBER})', text)[1])
    assert np.hypot(points[:, 0] - 500, points[:, 1] - 500) == pytest.approx(radius, rel=0.01)
