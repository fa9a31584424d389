"""The CASA calls of a plane, or of `restore`, as a plain script makes them: stock CASA, none of the package's code.

    python bare.py plane|restore CALLS.json

Works in the current folder, and prints as a line of JSON the CPU seconds and the peak memory (bytes) of the process; of
a plane first those of its tclean calls.
"""

import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path


def used(started: float) -> tuple[float, int]:
    """CPU seconds since a time of the process's clock, and the peak memory so far, bytes."""
    return time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def plane(calls: dict) -> list[tuple[float, int]]:
    """iter0 to iter3, then what the pipeline does with the last, on whole images, to its FITS files."""
    from casatasks import exportfits, imdev, impbcor, imsubimage, tclean

    started = time.process_time()
    name = ""
    for number, call in enumerate(calls["iterations"]):
        before, name = name, f"{calls['name']}.iter{number}"
        if number:
            for kind in ("model", "pb", "psf", "sumwt", "weight"):
                Path(f"{before}.{kind}.tt0").rename(f"{name}.{kind}.tt0")
            for kind in ("image", "residual"):
                shutil.copytree(f"{before}.{kind}.tt0", f"{name}.{kind}.tt0")
            shutil.rmtree(f"{before}.mask", ignore_errors=True)
        if number in (1, 2):
            mask = calls["masks"][number - 1]
            imregrid_or_copy(mask, f"{name}.cleanmask", f"{name}.psf.tt0")
            call = {**call, "mask": f"{name}.cleanmask"}
        tclean(imagename=name, **call)
    cleaned = used(started)
    if calls["tclean_only"]:
        return [cleaned]
    for kind in ("image", "image.residual"):
        source = f"{name}.{kind.removeprefix('image.')}.tt0"
        impbcor(source, f"{name}.pb.tt0", f"{name}.{kind}.pbcor.tt0", mode="divide", cutoff=-1.0)
    corrected = f"{name}.image.pbcor.tt0"
    imdev(
        corrected,
        outfile=f"{corrected}.rms",
        grid=[10, 10],
        anchor="ref",
        xlength="60arcsec",
        ylength="60arcsec",
        interp="cubic",
        stattype="xmadm",
        statalg="chauvenet",
        zscore=-1,
        maxiter=-1,
    )
    kinds = ("image.tt0", "residual.tt0", "image.pbcor.tt0", "image.pbcor.tt0.rms", "psf.tt0", "pb.tt0")
    for kind in (*kinds, "image.residual.pbcor.tt0"):
        imsubimage(f"{name}.{kind}", f"{name}.{kind}.subim", box=calls["box"])
    for kind in ("image.pbcor.tt0", "image.pbcor.tt0.rms"):
        for stokes in ("IQU", "V"):
            imsubimage(f"{name}.{kind}.subim", f"{name}.{kind}.{stokes}", stokes=stokes)
            exportfits(f"{name}.{kind}.{stokes}", f"{name}.{kind}.{stokes}.fits")
    return [cleaned, used(0.0)]


def imregrid_or_copy(mask: str, target: str, template: str) -> None:
    """The mask of SE-CONT on the pixels of the plane."""
    from casatasks import imregrid
    from casatools import image

    shapes = []
    for name in (mask, template):
        tool = image()
        tool.open(name)
        shapes.append([int(n) for n in tool.shape()[:2]])
        tool.close()
    if shapes[0] == shapes[1]:
        shutil.copytree(mask, target)
    else:
        imregrid(mask, template=template, output=target, axes=[0, 1], interpolation="nearest")


def restore(calls: dict) -> list[tuple[float, int]]:
    """Stages 3 and 4, one call after the other on one measurement set, and that split into the groups."""
    from casatasks import applycal, flagmanager, initweights, mstransform, statwt, tclean

    vis, predicted = calls["vis"], calls["prediction"]
    mstransform(outputvis=vis, datacolumn="data", chanbin=1, timebin="0s", reindex=False, **calls["mstransform"])
    initweights(vis, wtmode="nyq")
    shutil.copytree(calls["flagversions"], f"{vis}.flagversions")
    flagmanager(vis, mode="save", versionname="hifv_restorepims_initial")
    tclean(vis=vis, **predicted)
    for model in calls["models"]:
        shutil.copytree(model, f"{predicted['imagename']}.model.{model[-3:]}")
    tclean(vis=vis, **{**predicted, "savemodel": "modelcolumn", "calcpsf": False, "restart": True})
    flagmanager(vis, mode="restore", versionname="statwt_1")
    statwt(
        vis,
        combine="field,scan,state,corr",
        chanbin=1,
        timebin="1yr",
        datacolumn="residual_data",
        flagbackup=False,
    )
    applycal(
        vis,
        gaintable=calls["selfcal_table"],
        interp=["nearest"],
        spwmap=calls["spwmap"],
        calwt=False,
        parang=False,
        applymode="calonly",
        flagbackup=False,
    )
    for spw in calls["groups"]:
        mstransform(vis, outputvis=f"group_{spw}.ms", spw=spw, datacolumn="corrected", reindex=False)
    return [used(0.0)]


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    what, given = sys.argv[1:3]
    sys.argv = sys.argv[:1]  # CASA reads them
    print(json.dumps({"plane": plane, "restore": restore}[what](json.loads(Path(given).read_text()))))
