"""The header of a FITS file as it stands there, without astropy, which takes seconds for thousands of HISTORY cards."""

from __future__ import annotations

from pathlib import Path

BLOCK = 2880
CARD = 80
SUFFIX = ".header"
"""After the name of a FITS file: its first header alone, where the file itself is not."""
_MOST = 64 << 20


def raw_header(path: Path) -> bytes:
    """The blocks of the first header of a FITS file; empty if it is not one, or cannot be read."""
    blocks = bytearray()
    try:
        with path.open("rb") as stream:
            while len(blocks) < _MOST and (block := stream.read(BLOCK)):
                blocks += block
                if not blocks.startswith(b"SIMPLE"):
                    return b""
                if any(block[at : at + CARD].rstrip() == b"END" for at in range(0, len(block), CARD)):
                    return bytes(blocks)
    except OSError:
        pass
    return b""


def cards(header: bytes) -> list[str]:
    """The cards of a header, unchanged, without END and empty ones."""
    text = header.decode("ascii", errors="replace")
    found = [text[at : at + CARD].rstrip() for at in range(0, len(text), CARD)]
    return [card for card in found[: found.index("END")] if card] if "END" in found else []
