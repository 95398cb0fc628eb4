"""Criteria on a terminal: a tree with their evidence."""

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from quillgraph.agents.domain import Criterion, Incident
from quillgraph.agents.text import visible
from quillgraph.graphs.study import Grounding, quote


def criteria_tree(state: Grounding) -> Tree:
    """Draw the criteria as a tree: core, categories, criteria, evidence."""
    criteria_set = state["criteria_set"]
    tree = Tree(Text(visible(criteria_set.core.storyline), style="bold"), guide_style="dim")
    incidents = {incident.id: incident for incident in state["incidents"]}
    hard = [criterion for criterion in criteria_set.criteria if criterion.kind == "hard"]
    if hard:
        branch = tree.add(Text("Checked by code", style="cyan"))
        for criterion in hard:
            branch.add(_leaf(criterion, incidents))
    core = criteria_set.core.category_id
    for category in sorted(state["categories"], key=lambda c: c.id != core):
        mine = [c for c in criteria_set.criteria if c.category_id == category.id]
        if mine:
            mark = " (core)" if category.id == core else ""
            branch = tree.add(Text(visible(f"{category.name}{mark}"), style="cyan"))
            for criterion in mine:
                branch.add(_leaf(criterion, incidents))
    return tree


def _leaf(criterion: Criterion, incidents: dict[str, Incident]) -> Group:
    mark = {"hard": "■", "soft": "○", "pitfall": "✕"}[criterion.kind]
    title = Text.assemble(
        (visible(f"{mark} {criterion.name}"), "bold"), (f"  {criterion.tier}", "dim")
    )
    quotes = [Text(visible(quote(incidents[i])), style="green") for i in criterion.evidence]
    return Group(title, Text(visible(criterion.description)), *quotes)
