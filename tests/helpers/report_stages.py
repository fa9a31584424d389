"""Looking things up in the report's stages, and in what nodes recorded of their CASA calls."""

from __future__ import annotations

import ast
from typing import Any

from ccip_batch.report.facts import NodeFacts
from ccip_batch.report.stages.parts import Block, Stage
from ccip_batch.report.tables import Cell


def calls(node: NodeFacts, task: str) -> list[dict[str, Any]]:
    """The keyword parameters of a node's calls of a CASA task, as it recorded them."""
    tree = ast.parse(node.folder.casa_commands.read_text())
    return [
        {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == task
    ]


def block(stage: Stage, title: str) -> Block:
    """The table of this title."""
    (found,) = [one for one in stage.blocks if one.title == title]
    return found


def column(table: Block, title: str) -> list[Cell]:
    """The cells of a column."""
    return [row[list(table.columns).index(title)] for row in table.rows]
