"""Report a study: its criteria as Markdown, a summary, and the files of the run folder."""

from collections import Counter
from functools import partial
from typing import Any

from quillgraph.agents.domain import LEVELS, Incident
from quillgraph.agents.text import amount
from quillgraph.graphs.study import provenance
from quillgraph.graphs.study.state import Grounding
from quillgraph.graphs.supervision.folder import RunFolder

LONGEST_QUOTE = 90

UNTRUSTED = "the validator did not put real drafts above degenerate texts"
"""Start of the memo that says that the trials of the criteria cannot be trusted."""


def write_study(state: Grounding, folder: RunFolder) -> None:
    """Write what a study has reached to its run folder.

    Raises:
        StorageError: If the folder cannot be written.
    """
    folder.write_json("study.json", {k: v for k, v in state.items() if k != "criteria_set"})
    folder.write_lines("drafts.jsonl", state.get("drafts", []))
    if "criteria_set" not in state:
        return
    folder.write_json("criteria.json", state["criteria_set"])
    folder.write_text("criteria.md", criteria_markdown(state))
    graph = provenance.trace(state)
    folder.write("provenance.json", partial(provenance.write_graph, graph))
    folder.write("provenance.graphml", partial(provenance.write_graphml, graph))
    folder.write_text("provenance.mmd", provenance.mermaid(graph))


def findings(state: Grounding) -> dict[str, Any]:
    """The criteria of a study with their evidence, as data for JSON."""
    criteria_set = state["criteria_set"]
    cited = {incident for each in criteria_set.criteria for incident in each.evidence}
    return {
        "criteria_set": criteria_set.model_dump(mode="json"),
        "evidence": {
            incident.id: incident.model_dump(mode="json")
            for incident in state["incidents"]
            if incident.id in cited
        },
        "coverage": criteria_set.stats["coverage"],
        "saturation": criteria_set.stats["saturation"],
        "dropped": dict(Counter(f"{entry.stage}: {entry.reason}" for entry in state["dropped"])),
    }


def criteria_markdown(state: Grounding) -> str:
    """Write the criteria as Markdown, with levels and evidence."""
    criteria_set = state["criteria_set"]
    incidents = {incident.id: incident for incident in state["incidents"]}
    lines = ["# Criteria", "", f"> {criteria_set.core.storyline}", ""]
    for criterion in criteria_set.criteria:
        lines += [
            f"## {criterion.name}",
            "",
            f"{criterion.description} *({criterion.kind}, {criterion.tier}, "
            f"weight {criterion.weight:g})*",
            "",
        ]
        if criterion.levels:
            lines += [*(f"- **{band}** {criterion.levels[band]}" for band in LEVELS), ""]
        lines += ["Rests on:", "", *(f"- {quote(incidents[i])}" for i in criterion.evidence), ""]
    lines += [f"`sha256 {criteria_set.sha256}`", ""]
    return "\n".join(lines)


def summary(state: Grounding) -> str:
    """Sum up the study in a line, with a second one on the library and a third on distrust."""
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
    with_criterion = round(state["criteria_set"].stats["coverage"] * clauses)
    if with_criterion == clauses:
        return "every clause of the request has a criterion"
    has = "has" if with_criterion == 1 else "have"
    return f"{with_criterion} of {amount(clauses, 'clause')} of the request {has} a criterion"


def _reuse(stats: dict[str, Any]) -> str:
    """A line on the use of the library; empty without a library."""
    if (library := stats.get("library")) is None:
        return ""
    total = amount(len(library["ids"]), "criterion", "criteria")
    return (
        f"\nlibrary {library['version']}: {amount(len(library['suggested']), 'suggestion')} to "
        f"compare with; {len(library['reused'])} of {total} known from other requests"
        + (f"; {len(library['retired'])} retired" if library["retired"] else "")
    )


def _distrust(state: Grounding) -> str:
    """A warning if the trials of the criteria cannot be trusted, else nothing."""
    if not any(memo.text.startswith(UNTRUSTED) for memo in state["memos"]):
        return ""
    return (
        f"\ntried on {amount(len(state['drafts']), 'draft')}: the model could not tell them from "
        "degenerate texts, so its scores refused nothing"
    )


def reached(state: Grounding) -> str:
    """Count what a study that ended early has reached."""
    counts = [
        amount(len(state["incidents"]), "incident") if state.get("incidents") else "",
        amount(len(state["drafts"]), "draft") if state.get("drafts") else "",
        amount(len(state["codes"]), "code") if state.get("codes") else "",
        amount(len(state["categories"]), "category", "categories")
        if state.get("categories")
        else "",
    ]
    return f"reached: {', '.join(filter(None, counts)) or 'nothing yet'}"


def quote(incident: Incident) -> str:
    """The first words of an incident, and its id."""
    words = " ".join(incident.text.split())
    short = words if len(words) <= LONGEST_QUOTE else words[: LONGEST_QUOTE - 1] + "…"
    return f"“{short}” [{incident.id}]"
