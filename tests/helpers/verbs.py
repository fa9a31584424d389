"""The verbs, taken from the command itself, so that a new one is tested like the others."""

from __future__ import annotations

import re

import click

from ccip_batch.cli import main


def _commands(group: click.Group, before: str = "") -> dict[str, click.Command]:
    """The verbs by name; those of a group are named after it: `campaign status`."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found |= _commands(command, f"{name} ") if isinstance(command, click.Group) else {before + name: command}
    return found


_COMMANDS = _commands(main)
VERBS = tuple(sorted(_COMMANDS))


def verbs_with(*what: str) -> list[str]:
    """The verbs that take an argument that the help calls so, such as `RUN` or `JOB.yaml`; also one that may be left
    out."""
    return [verb for verb in VERBS if set(what) & set(re.findall(r"\w+(?:\.\w+)*", " ".join(_metavars(verb))))]


def takes_node(verb: str) -> bool:
    """Whether a verb needs the name of a node."""
    return "NODE" in " ".join(_metavars(verb)).split()


def _metavars(verb: str) -> list[str]:
    return [str(one.metavar) for one in _COMMANDS[verb].params if isinstance(one, click.Argument)]
