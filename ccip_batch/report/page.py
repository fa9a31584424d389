"""The page: gathers its parts and fills the template."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from ccip_batch import __version__
from ccip_batch.casa.images import STOKES
from ccip_batch.cube import faraday_pictures
from ccip_batch.cube.faraday_pictures import FaradayPicture
from ccip_batch.report import stages, verdict
from ccip_batch.report.drawings import Drawings
from ccip_batch.report.facts import NodeFacts, RunFacts
from ccip_batch.report.gallery import KINDS, PB_LEVELS
from ccip_batch.report.plane_table import plane_table
from ccip_batch.report.texts import copy_headers, copy_logs
from ccip_batch.report.timing import MARGIN, ROUND, advice, node_uses
from ccip_batch.report.words import amount, count, duration, moment
from ccip_batch.run.pool import read_pool_records
from ccip_batch.workflow.estimates import extrapolated


def write_page(facts: RunFacts, drawings: Drawings, folder: Path) -> None:
    """Write `index.html` into a folder with these drawings, and all else that it links."""
    uses = node_uses(facts)
    products = facts.nodes["publish"].result
    content: dict[str, Any] = {
        "facts": facts,
        "version": __version__,
        "written": moment(time.time()),
        "headline": verdict.headline(facts),
        "level": verdict.level(facts),
        "counts": verdict.plane_counts(facts),
        "identity": verdict.identity(facts),
        "table": plane_table(facts),
        "gallery": drawings.gallery,
        "drawn": drawings.drawn,
        "kinds": KINDS,
        "all_stokes": STOKES,
        "plots": drawings.plots,
        "stages": stages.describe(facts),
        "courses": drawings.courses,
        "exported": {plane.spw: stages.exported(plane) for plane in facts.planes},
        "products": products.files if products else (),
        "logs": copy_logs(list(facts.nodes.values()), folder),
        "headers": copy_headers(facts.planes, folder),
        "faraday": _copy_faraday(facts, folder),
        "gantt": drawings.gantt,
        "uses": uses,
        "advice": advice(uses),
        "pool": read_pool_records(facts.run),
        "extrapolated": extrapolated(facts.job),
        "margin": MARGIN,
        "round": ROUND,
        "pb_levels": PB_LEVELS,
    }
    copy_assets(folder, "style.css", "report.js")
    page = environment().get_template("index.html.j2").render(content)
    (folder / "index.html").write_text(page, encoding="utf-8")


def _copy_faraday(facts: RunFacts, folder: Path) -> list[FaradayPicture]:
    """Copy what `cube --rm` kept in the run folder; which pictures these are."""
    kept = facts.run.faraday
    pictures = faraday_pictures.kept(kept)
    if pictures:
        faraday_pictures.keep(pictures, kept, folder / kept.name)
    return pictures


def copy_assets(folder: Path, *names: str, package: str = "ccip_batch.report") -> None:
    """Copy files that lie beside the templates of a package into the folder of a page."""
    for name in names:
        (folder / name).write_bytes((files(package) / "templates" / name).read_bytes())


def environment(*packages: str) -> jinja2.Environment:
    """For filling templates: of these packages, or else those of this one, whose macros serve all."""
    loaders = [jinja2.PackageLoader(package) for package in (*packages, "ccip_batch.report")]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=duration, amount=amount, moment=moment, spw=_spw, with_logs=_with_logs, setting=_setting
    )
    environment.globals.update(count=count, json=json.dumps)
    return environment


def _with_logs(nodes: Sequence[NodeFacts], logs: Mapping[str, Mapping[str, str]]) -> list[NodeFacts]:
    """The nodes that have logs."""
    return [node for node in nodes if logs.get(node.node.name)]


def _spw(selection: str) -> str:
    """`'3,4'` as people write it: `3+4`."""
    return selection.replace(",", "+")


def _setting(value: object) -> str:
    """The value of a parameter as people write it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
