"""The verbs, taken from the command itself, so that a new one is tested like the others."""

from __future__ import annotations

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
    """The verbs that take an argument that the help calls so, such as `RUN` or `JOB.yaml`."""
    return [verb for verb in VERBS if set(what) & {one.metavar for one in _arguments(verb)}]


def arguments_of(verb: str) -> list[str]:
    """Names of a verb's required arguments, in order."""
    return [str(one.name) for one in _arguments(verb) if one.required]


def _arguments(verb: str) -> list[click.Argument]:
    return [one for one in _COMMANDS[verb].params if isinstance(one, click.Argument)]
