"""The verbs, taken from the command itself, so that a new one is tested like the others."""

from __future__ import annotations

import click

from ccip_batch.cli import main

VERBS = tuple(sorted(main.commands))


def verbs_with(argument: str) -> list[str]:
    """The verbs that take an argument of this name, such as `run` or `job`."""
    return [verb for verb in VERBS if argument in arguments_of(verb)]


def arguments_of(verb: str) -> list[str]:
    """Names of a verb's required arguments, in order."""
    return [str(one.name) for one in main.commands[verb].params if isinstance(one, click.Argument) and one.required]
