"""A simulator of the coarse cube's input: see `write.simulate`."""

from __future__ import annotations

from ccip_batch.simulate.write import simulate

__all__ = ["simulate"]
