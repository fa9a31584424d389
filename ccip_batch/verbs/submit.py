"""The HTCondor engine: submit, cancel, resume, retry. What it does, it does on demand; nothing stays running."""

from __future__ import annotations

import shlex

import click

from ccip_batch.engines.htcondor.attempts import ATTEMPTS
from ccip_batch.engines.htcondor.dagman import (
    Dag,
    DagFile,
    Queue,
    ask_queue,
    last_dag,
    lost_sentence,
    refuse_while_alive,
    remove_dag,
    remove_nodes,
    remove_rescue,
    submit_dag,
    write_rescue,
)
from ccip_batch.engines.htcondor.plan import DAG, DAG_SCRIPTS, SCRIPT, planned_site
from ccip_batch.engines.htcondor.sites import Site, load_site
from ccip_batch.engines.htcondor.staging import Staging, require_own_place
from ccip_batch.errors import CcipError, ConfigError, ExitCode, RunFolderError
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.needed import needed_nodes, with_descendants
from ccip_batch.run.run import Run


def submit(run: Run) -> ExitCode:
    """Submit a planned run; what is done in it already is not repeated."""
    _planned(run)
    with run.folder.locked():
        refuse_while_alive(run.folder)
        cluster = submit_dag(DagFile.of(run.folder), run.folder.path.name)
    click.echo(f"Submitted as job {cluster}. Watch it: ccip-batch status {run.folder.path}")
    return ExitCode.DONE


def cancel(folder: RunFolder) -> ExitCode:
    """Take the DAG and all its nodes out of the queue."""
    file = DagFile.of(folder)
    dag = last_dag(file)
    if dag is None:
        click.echo("The run was never submitted to a pool. A run of the local engine stops with Ctrl-C.")
        return ExitCode.DONE
    if not dag.alive:
        click.echo("The run has nothing in the queue.")
        return ExitCode.DONE
    queue = ask_queue(file, dag)
    if queue.has_lost_it:
        return _cancel_lost(folder, dag, queue)
    if queue.status is None:
        where = f"was submitted on {dag.host}: cancel it there" if dag.host else "was submitted elsewhere by its log"
        raise RunFolderError(f"DAG {dag.cluster} is not in the queue of this host. It {where}.")
    remove_dag(file, dag.cluster)
    click.echo(f"Removed job {dag.cluster}. Go on later: ccip-batch resume {folder.path}")
    return ExitCode.DONE


def _cancel_lost(folder: RunFolder, dag: Dag, queue: Queue) -> ExitCode:
    if not queue.nodes:
        click.echo(f"{lost_sentence(dag)}: nothing is to be removed. Go on: ccip-batch resume {folder.path}")
        return ExitCode.DONE
    constraint = remove_nodes(DagFile.of(folder), dag)
    click.echo(
        f"{lost_sentence(dag)}. Removed the {queue.nodes} nodes that it had left there; if they stay in state X: "
        f"condor_rm -forcex -constraint {shlex.quote(constraint)}"
    )
    return ExitCode.DONE


def resume(run: Run) -> ExitCode:
    """Submit again what is not done."""
    _planned(run)
    with run.folder.locked():
        refuse_while_alive(run.folder)
        run = Run.read(run.folder)  # it may have been planned again while this waited
        needed = needed_nodes(run)
        if not needed and not _publish_failed(run):
            click.echo("All nodes are done.")
            return ExitCode.DONE
        return _submit_rest(run, needed | {"publish"})


def retry(run: Run, name: str) -> ExitCode:
    """Submit one node again, done or not, with what comes after it; other nodes that failed stay failed."""
    _planned(run)
    run.named(name)
    with run.folder.locked():
        refuse_while_alive(run.folder)
        run = Run.read(run.folder)  # as in `resume`
        graph = run.graph
        result = run.node(name).result
        aside = result.with_name(f"{result.name}.retried")
        if result.is_file():
            result.replace(aside)
        try:
            needed = needed_nodes(run)
            wanted = {name}
            for node in reversed(graph.nodes):  # what it needs itself may have been cleaned
                if node.name in wanted:
                    wanted |= {parent for parent in node.parents if parent in needed and parent not in node.may_fail}
            code = _submit_rest(run, wanted)
        except BaseException:
            if aside.is_file():
                aside.replace(result)
            raise
        aside.unlink(missing_ok=True)
        return code


def _planned(run: Run) -> None:
    if not (run.folder.dag / DAG).is_file() and (run.folder.dag / ATTEMPTS).is_dir():
        raise RunFolderError(
            f"the planning of {run.folder.path} did not come to its end. Give `ccip-batch plan` again."
        )
    if not (run.folder.dag / DAG).is_file():
        raise RunFolderError(
            f"{run.folder.path} was not planned for HTCondor. Continue a run of the local engine with `ccip-batch run`."
        )
    if not (run.folder.dag / ATTEMPTS).is_dir():
        raise RunFolderError(
            f"{run.folder.path} was planned by another version of ccip_batch. Give `ccip-batch plan` again as it was "
            "given for this run: the same job config, --set and --run-dir."
        )
    site = planned_site(run)
    require_own_place(run.folder)
    if site.data == "transfer":
        staging = Staging(run, site)
        if f" = {staging.address}\n" not in (run.folder.dag / "site.sub").read_text(encoding="utf-8"):
            raise RunFolderError(
                f"{run.folder.path} was planned when its large files had another address. Give `ccip-batch plan` "
                "again with this run folder."
            )
    if _has_changed(run, site):
        click.echo(
            f"warning: the profile of {run.job.execution.site} has changed since the run was planned; "
            "`ccip-batch plan` takes it over, then `ccip-batch resume`",
            err=True,
        )
    try:
        script = (run.folder.dag / SCRIPT).read_text(encoding="utf-8", errors="replace")
    except OSError:
        script = ""
    if f"-m {DAG_SCRIPTS} " not in script:
        raise RunFolderError(
            f"{run.folder.dag / SCRIPT} is damaged, or was written by another version of ccip_batch whose modules are "
            "gone. Give `ccip-batch plan` again as it was given for this run: the same job config, --set and --run-dir."
        )


def _has_changed(run: Run, planned: Site) -> bool:
    """Whether the profile is another one now than when the run was planned; not if it cannot be read."""
    try:
        return load_site(str(run.job.execution.site)) != planned
    except ConfigError:
        return False


def _publish_failed(run: Run) -> bool:
    return run.result("publish") is None or bool(run.missing_planes())


def _submit_rest(run: Run, needed: set[str]) -> ExitCode:
    graph = run.graph
    rest = with_descendants(graph, needed)
    done = [node.name for node in graph.nodes if node.name not in rest]
    rescue = write_rescue(DagFile.of(run.folder), done)
    try:
        cluster = submit_dag(DagFile.of(run.folder), run.folder.path.name, rescue)
    except CcipError:
        remove_rescue(DagFile.of(run.folder), rescue)  # the next condor_submit_dag would take it
        raise
    names = [node.name for node in graph.nodes if node.name in rest]
    click.echo(f"Submitted as job {cluster}, {len(done)} nodes done, again: {', '.join(names)}")
    return ExitCode.DONE
