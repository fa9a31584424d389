from __future__ import annotations

import pytest

from ccip_batch.cutout import cutout_box


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
