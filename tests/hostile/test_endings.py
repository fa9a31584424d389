"""What libraries and the system raise ends in a sentence; a bug of ours stays one that can be reported."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
import yaml
from astropy import units
from astropy.io import fits

from ccip_batch.cli.ending import put_into_words
from ccip_batch.errors import ExitCode


def raised(action: object, *given: object) -> Exception:
    with pytest.raises(Exception) as caught:
        action(*given)  # type: ignore[operator]
    assert isinstance(caught.value, Exception)
    return caught.value


def test_errors_of_libraries(tmp_path: Path) -> None:
    damaged = tmp_path / "x"
    damaged.write_bytes(b"{\xff")
    for error in (
        raised(yaml.safe_load, "a: ["),
        raised(json.loads, "{"),
        raised(tarfile.open, damaged),
        raised((1 * units.Jy).to, "deg"),
        raised(fits.Card("BAD", "x" * 9).fromstring("BAD = '").verify, "exception"),
        raised(damaged.read_text, "utf-8"),
        raised((tmp_path / "nowhere").read_text),
        raised(tmp_path.read_text),
        raised((damaged / "y").mkdir),
    ):
        words, code = put_into_words(error)
        assert code == ExitCode.DATA and "Traceback" not in words and "\n" not in words, words


def test_a_bug_is_to_be_reported() -> None:
    words, code = put_into_words(raised({}.__getitem__, "key"))
    assert code == ExitCode.INTERNAL and "most likely a bug in ccip_batch: KeyError" in words
    file = Path(words.rpartition(" ")[2])
    assert "Traceback" in file.read_text() and "Python" in file.read_text()
    file.unlink()
