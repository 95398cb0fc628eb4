"""How criteria look to a person: a tree with the words behind each branch, and Markdown."""

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from quillgraph.agents.domain import LEVELS, Criterion, Incident
from quillgraph.graphs.study import Grounding

LONGEST_QUOTE = 90


def criteria_tree(state: Grounding) -> Tree:
    """Draw the criteria under the core, category by category, with their evidence."""
    done = state["criteria_set"]
    tree = Tree(Text(done.core.storyline, style="bold"), guide_style="dim")
    incidents = {incident.id: incident for incident in state["incidents"]}
    hard = [criterion for criterion in done.criteria if criterion.kind == "hard"]
    if hard:
        branch = tree.add(Text("Checked by code", style="cyan"))
        for criterion in hard:
            branch.add(_leaf(criterion, incidents))
    for category in state["categories"]:
        mine = [c for c in done.criteria if c.category_id == category.id]
        if mine:
            core = " (core)" if category.id == done.core.category_id else ""
            branch = tree.add(Text(f"{category.name}{core}", style="cyan"))
            for criterion in mine:
                branch.add(_leaf(criterion, incidents))
    return tree


def criteria_markdown(state: Grounding) -> str:
    """Write the criteria as Markdown, with levels and evidence."""
    done = state["criteria_set"]
    incidents = {incident.id: incident for incident in state["incidents"]}
    lines = ["# Criteria", "", f"> {done.core.storyline}", ""]
    for criterion in done.criteria:
        lines += [
            f"## {criterion.name}",
            "",
            f"{criterion.description} *({criterion.kind}, {criterion.tier}, "
            f"weight {criterion.weight:g})*",
            "",
        ]
        lines += [f"- **{band}** {criterion.levels[band]}" for band in LEVELS if criterion.levels]
        lines += ["", *(f"> {_quote(incidents[i])}" for i in criterion.evidence), ""]
    lines += [f"`sha256 {done.sha256}`", ""]
    return "\n".join(lines)


def summary(state: Grounding) -> str:
    """Say in one line how the study went."""
    stats = state["criteria_set"].stats
    trace = stats["saturation"]
    ended = "saturated" if stats["saturated"] else "not saturated"
    dropped = sum(stats["dropped"].values())
    return (
        f"{len(state['criteria'])} criteria from {stats['codes']} codes in "
        f"{stats['categories']} categories; coverage {stats['coverage']:.0%}; "
        f"{ended} after {len(trace)} rounds; {dropped} replies or items dropped"
    )


def _leaf(criterion: Criterion, incidents: dict[str, Incident]) -> Group:
    mark = {"hard": "■", "soft": "○", "pitfall": "✕"}[criterion.kind]
    title = Text.assemble((f"{mark} {criterion.name}", "bold"), (f"  {criterion.tier}", "dim"))
    quotes = [Text(_quote(incidents[i]), style="green") for i in criterion.evidence]
    return Group(title, Text(criterion.description), *quotes)


def _quote(incident: Incident) -> str:
    words = " ".join(incident.text.split())
    short = words if len(words) <= LONGEST_QUOTE else words[: LONGEST_QUOTE - 1] + "…"
    return f"“{short}” [{incident.id}]"
