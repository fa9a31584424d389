from __future__ import annotations

import pytest

from ccip_batch.imaging.cutout import Cutout, cutout_box, rms_margin


@pytest.mark.parametrize(
    ("shape", "cell", "box"),
    [
        ((12500, 12500), 0.6, ((3150, 3150), (9349, 9349))),  # 6200 pixels, CRPIX 3101
        ((512, 512), 6.0, ((0, 0), (511, 511))),  # smaller than a cutout
        ((700, 640), 6.0, ((40, 10), (659, 629))),
        ((700, 600), 6.0, ((40, 0), (659, 599))),  # clipped in one direction
        ((4000, 4000), 1.1, ((309, 309), (3690, 3690))),  # 3381.8 pixels, rounded half up to 3382
    ],
)
def test_cutout_box(shape: tuple[int, int], cell: float, box: tuple[tuple[int, int], tuple[int, int]]) -> None:
    assert cutout_box(shape, cell) == box


def test_margin_is_half_the_box_of_the_rms_and_two_steps_of_its_grid() -> None:
    assert [rms_margin(cell) for cell in (0.6, 2.4, 6.0)] == [70, 33, 25]


def test_at_the_size_of_the_survey_a_quarter_of_the_pixels_is_needed() -> None:
    cutout = Cutout.from_shape((12500, 12500), 0.6)
    assert cutout.wide == ((3080, 3080), (9419, 9419)) and not cutout.is_wide_whole
    assert cutout.inside == ((70, 70), (6269, 6269))
    reference = 12500 // 2
    assert reference - cutout.wide[0][0] == (9419 - 3080 + 1) // 2  # the reference pixel is in the middle


@pytest.mark.parametrize("shape", [(512, 512), (660, 650)])
def test_an_image_not_much_larger_than_its_cutout_is_taken_whole(shape: tuple[int, int]) -> None:
    cutout = Cutout.from_shape(shape, 6.0)
    assert cutout.is_wide_whole and cutout.inside == cutout.box
