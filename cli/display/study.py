"""How results look to a person: criteria as a tree with the words behind it, and Markdown."""

from typing import Any

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from quillgraph.agents.domain import LEVELS, Criterion, Incident
from quillgraph.agents.text import amount, visible
from quillgraph.graphs.study import Grounding

LONGEST_QUOTE = 90

UNTRUSTED = "the validator did not put real drafts above degenerate texts"
"""How the memo begins that says that the criteria could not be tried out."""


def criteria_tree(state: Grounding) -> Tree:
    """Draw the criteria under the core, category by category, with their evidence."""
    done = state["criteria_set"]
    tree = Tree(Text(visible(done.core.storyline), style="bold"), guide_style="dim")
    incidents = {incident.id: incident for incident in state["incidents"]}
    hard = [criterion for criterion in done.criteria if criterion.kind == "hard"]
    if hard:
        branch = tree.add(Text("Checked by code", style="cyan"))
        for criterion in hard:
            branch.add(_leaf(criterion, incidents))
    core = done.core.category_id
    for category in sorted(state["categories"], key=lambda c: c.id != core):
        mine = [c for c in done.criteria if c.category_id == category.id]
        if mine:
            mark = " (core)" if category.id == core else ""
            branch = tree.add(Text(visible(f"{category.name}{mark}"), style="cyan"))
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
        if criterion.levels:
            lines += [*(f"- **{band}** {criterion.levels[band]}" for band in LEVELS), ""]
        lines += ["Rests on:", "", *(f"- {_quote(incidents[i])}" for i in criterion.evidence), ""]
    lines += [f"`sha256 {done.sha256}`", ""]
    return "\n".join(lines)


def summary(state: Grounding) -> str:
    """Say in a line how the study went, and in another if nothing stood the test."""
    stats = state["criteria_set"].stats
    rounds = len(stats["saturation"])
    ended = "saturated" if stats["saturated"] else "not saturated"
    dropped = sum(stats["dropped"].values())
    return (
        f"{amount(len(state['criteria']), 'criterion', 'criteria')} from "
        f"{amount(stats['codes'], 'code')} in "
        f"{amount(stats['categories'], 'category', 'categories')}; "
        f"{_covered(state)}; "
        f"{ended} after {amount(rounds, 'round')} of coding"
        + (f"; {amount(dropped, 'reply or item', 'replies or items')} dropped" if dropped else "")
        + _reuse(stats)
        + _distrust(state)
    )


def _covered(state: Grounding) -> str:
    clauses = sum(incident.source == "request" for incident in state["incidents"])
    covered = round(state["criteria_set"].stats["coverage"] * clauses)
    if covered == clauses:
        return "every clause of the request has a criterion"
    has = "has" if covered == 1 else "have"
    return f"{covered} of {amount(clauses, 'clause')} of the request {has} a criterion"


def _reuse(stats: dict[str, Any]) -> str:
    """What the library had to say, if there was one."""
    if (library := stats.get("library")) is None:
        return ""
    judged = amount(len(library["ids"]), "criterion", "criteria")
    return (
        f"\nlibrary {library['version']}: {amount(len(library['suggested']), 'suggestion')} to "
        f"compare with; {len(library['reused'])} of {judged} known from other requests"
        + (f"; {len(library['retired'])} retired" if library["retired"] else "")
    )


def _distrust(state: Grounding) -> str:
    """Whether the model that tried the criteria out could not do so."""
    if not any(memo.text.startswith(UNTRUSTED) for memo in state["memos"]):
        return ""
    return (
        f"\ntried on {amount(len(state['drafts']), 'draft')}: the model could not tell them from "
        "degenerate texts, so its scores refused nothing"
    )


def reached(state: Grounding) -> str:
    """Say what a study that ended early has reached."""
    counts = [
        amount(len(state["incidents"]), "incident") if state.get("incidents") else "",
        amount(len(state["drafts"]), "draft") if state.get("drafts") else "",
        amount(len(state["codes"]), "code") if state.get("codes") else "",
        amount(len(state["categories"]), "category", "categories")
        if state.get("categories")
        else "",
    ]
    return f"reached: {', '.join(filter(None, counts)) or 'nothing yet'}"


def _leaf(criterion: Criterion, incidents: dict[str, Incident]) -> Group:
    mark = {"hard": "■", "soft": "○", "pitfall": "✕"}[criterion.kind]
    title = Text.assemble(
        (visible(f"{mark} {criterion.name}"), "bold"), (f"  {criterion.tier}", "dim")
    )
    quotes = [Text(visible(_quote(incidents[i])), style="green") for i in criterion.evidence]
    return Group(title, Text(visible(criterion.description)), *quotes)


def _quote(incident: Incident) -> str:
    words = " ".join(incident.text.split())
    short = words if len(words) <= LONGEST_QUOTE else words[: LONGEST_QUOTE - 1] + "…"
    return f"“{short}” [{incident.id}]"
