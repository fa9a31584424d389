"""Draw docs/performance.png: what a major cycle costs at each size, from what bench.py measured last.

python tests/bench/plot_speed.py
"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from bench_speed import FIGURES
from matplotlib import pyplot
from matplotlib.ticker import NullFormatter

DRAWN = Path(__file__).parents[2] / "docs" / "performance.png"


def main() -> None:
    """Read the figures, draw them."""
    sizes = sorted(json.loads(FIGURES.read_text()).values(), key=lambda size: size["pixels"])
    pixels = [size["pixels"] for size in sizes]
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    for key, label, style in (("bare_s", "bare CASA", "o--"), ("ours_s", "ccip_batch", "s-")):
        a_cycle = [size[key] / size["major_cycles"] for size in sizes]
        axes.plot(pixels, a_cycle, style, label=label)
        for x, y in zip(pixels, a_cycle, strict=True):
            axes.annotate(f"{y:.3g}", (x, y), textcoords="offset points", xytext=(6, -12))
    axes.set(xscale="log", yscale="log", xlabel="pixels per side", ylabel="CPU seconds per major cycle (tclean, IQUV)")
    axes.set_xticks(pixels, [str(side) for side in pixels])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(0.12)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(DRAWN, dpi=130)


if __name__ == "__main__":
    main()
