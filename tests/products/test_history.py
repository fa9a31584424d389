from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from ccip_batch.products.history import WIDTH, folded, unfolded


def test_lines_are_cut_at_words_and_after_commas() -> None:
    words = "tclean makes an image of each spectral window in turn, with the beam of that one window"
    assert folded([words]) == [
        "tclean makes an image of each spectral window in turn, with the beam of",
        "> that one window",
    ]
    numbers = "field = " + ",".join(map(str, range(21458, 21480)))
    assert all(card.endswith(",") for card in folded([numbers])[:-1])
    name = "x" * 100
    assert folded([name]) == ["x" * WIDTH, ">" + "x" * (100 - WIDTH)]


@given(st.lists(st.text(st.sampled_from("ab ,>"), min_size=70, max_size=300), min_size=1))
def test_nothing_is_lost_in_cards(texts: list[str]) -> None:
    lines = ["first", *(text.rstrip() for text in texts if not text.startswith(">"))]
    cards = folded(lines)
    assert all(len(card) <= WIDTH and card == card.rstrip() for card in cards)
    assert unfolded(cards) == lines


@pytest.mark.parametrize("pattern", ["*.spw17.IQU.*.tt0.subim.fits", "*.spw17.V.*.com.fits"])
def test_history_of_a_run_is_whole_and_names_no_folder(finished: Path, pattern: str) -> None:
    lines = unfolded(list(map(str, fits.getheader(next(finished.glob(f"products/{pattern}")))["HISTORY"])))
    name = next(finished.glob("products/*.spw17.IQU.*")).name.split(".IQU.")[0]
    assert f"History of image {name}.IQUV.iter3.image.tt0" in lines
    # exportfits loses a letter of this name, where the line goes on in a third card
    assert any("(file ImagePrimaryBeamCorrector.cc, line " in line for line in lines)
    assert 'imagename   = "' + f'{name}.IQUV.iter3"' in lines
    assert lines.count("CASA START LOGTABLE") == lines.count("CASA END LOGTABLE") == 1
    assert not any(str(finished) in line or "/source/" in line for line in lines)
