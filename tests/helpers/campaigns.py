"""Campaigns for tests: a table of squares that share their inputs, but for their parameter lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from helpers.input_files import CCIP_LIST, ROOT, make_job

TEMPLATE = f"""\
table: campaign.csv
job:
  inputs:
    vis: in/{ROOT}.ms
    reimaging_resources: in/reimaging_resources.tgz
    seip_parameter_list: in/SEIP_parameter.list
    ccip_parameter_list: lists/{{name}}.list
  execution: {{engine: local}}
"""
POOL = TEMPLATE.replace("{engine: local}", "{engine: htcondor, site: local}")


def make_campaign(folder: Path, names: Sequence[str], config: str = TEMPLATE, header: str = "name") -> Path:
    """A campaign whose squares have all inputs. names: rows of the table, which begin with the square's name."""
    make_job(folder / "in")
    (folder / "lists").mkdir()
    for row in names:
        name = row.split(",")[0]
        (folder / "lists" / f"{name}.list").write_text(CCIP_LIST.replace("06.512.v1", f"06.512.{name}"))
    write_table(folder, names, header)
    (folder / "campaign.yaml").write_text(config)
    return folder


def write_table(folder: Path, rows: Sequence[str], header: str = "name") -> None:
    (folder / "campaign.csv").write_text("\n".join([header, *rows]) + "\n")


def simulated_campaign(folder: Path, job: Path, names: Sequence[str], **execution: str) -> Path:
    """A campaign of squares with the data of one simulated job, each under an image name of its own (`.<name>`)."""
    config = yaml.safe_load(job.read_text())
    inputs = {key: str(job.parent / value) for key, value in config["inputs"].items()}
    text = Path(inputs["ccip_parameter_list"]).read_text()
    (folder / "lists").mkdir(parents=True)
    for name in names:
        (folder / "lists" / f"{name}.list").write_text(text.replace(".v1'", f".{name}'"))
    write_table(folder, names)
    config["inputs"] = {**inputs, "ccip_parameter_list": "lists/{name}.list"}
    config["execution"] = {"engine": "local", **execution}
    (folder / "campaign.yaml").write_text(yaml.safe_dump({"table": "campaign.csv", "job": config}))
    return folder
