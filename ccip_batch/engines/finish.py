"""The end of a run with either engine: check the products, write the report, remove what is no longer needed."""

from __future__ import annotations

import sys

from ccip_batch import report
from ccip_batch.run.cleaning import bad_products, clean
from ccip_batch.run.run import Run


def finish(run: Run, done: bool, light: bool = False, read: bool = True) -> list[str]:
    """Write the report and, of a run whose nodes are all done, verify the products and clean up (`execution.keep`).

    light: draw nothing for the report, but take what `publish` drew. read: compare the checksums of the products,
    otherwise their sizes. Gives the names of products that have changed since they were written: nothing is cleaned
    then, and the next run makes them again. A report that cannot be written does not fail the run; standard error says
    so.
    """
    bad: list[str] = []
    try:
        bad = bad_products(run, read) if done else []
    finally:
        write_report(run, light)
    if done and not bad and run.job.execution.keep == "products":
        clean(run)
    return bad


def write_report(run: Run, light: bool = False) -> None:
    """Write the report, and say where it is or why it is not there. light: without drawing."""
    write = report.write_without_drawing if light else report.write
    try:
        print(f"Report: {write(run)}", flush=True)
    except Exception as error:
        print(f"warning: the report could not be written: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"warning: to write it: ccip-batch report {run.folder.path}", file=sys.stderr)
