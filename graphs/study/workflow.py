"""The whole Grounded-Theory workflow: from a writing request to a frozen set of criteria."""

from collections import Counter
from collections.abc import Collection
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from quillgraph.agents.criteria import strength_share, trusted_scores
from quillgraph.agents.domain import CriteriaSet, Criterion, Dropped, Incident, WritingTask
from quillgraph.agents.memory import contrasted, silent, spreads
from quillgraph.agents.requests import Constraint, audit_request, find_constraints, segment
from quillgraph.agents.text.language import (
    CLEAR_LETTERS,
    is_sure,
    language_of,
    letter_weight,
    may_be,
)
from quillgraph.graphs.study import (
    axial_coding,
    criteria_writing,
    open_coding,
    provenance,
    reuse,
    selective_coding,
)
from quillgraph.graphs.study import theoretical_sampling as sampling
from quillgraph.graphs.study.ablation import categories_of_codes, stages_left_out, weigh_alike
from quillgraph.graphs.study.state import Grounding, Study, latest_trials


class WorkflowInput(TypedDict):
    """Input of the workflow."""

    task: WritingTask


Workflow = StateGraph[Grounding, Study, WorkflowInput, Grounding]
"""The graph of a whole study."""


class SplitUpdate(TypedDict):
    """What `split` writes."""

    incidents: list[Incident]
    constraints: tuple[Constraint, ...]


class AuditUpdate(TypedDict):
    """What `audit_brief` writes."""

    constraints: tuple[Constraint, ...]
    dropped: list[Dropped]


class FreezeUpdate(TypedDict):
    """What `freeze` writes."""

    criteria: tuple[Criterion, ...]
    criteria_set: CriteriaSet


def split(state: WorkflowInput) -> SplitUpdate:
    """Cut the request into incidents and find the constraints that code can check."""
    task = state["task"]
    incidents = segment(task)
    constraints = find_constraints(incidents, task.language)
    return {"incidents": list(incidents), "constraints": constraints}


def first_steps(state: Grounding, runtime: Runtime[Study]) -> list[str]:
    """Nodes that can start at once."""
    return ["sampling", *steps_on_request(state, runtime)]


def steps_on_request(state: Grounding, runtime: Runtime[Study]) -> list[str]:
    """Nodes that work on the request itself; a model that only chooses cannot audit."""
    chooses = runtime.context.coder.chooses
    return ["code_request"] if chooses else ["code_request", "audit_brief"]


async def audit_brief(state: Grounding, runtime: Runtime[Study]) -> AuditUpdate:
    """Ask a model for the demands that code can check and that the rules have missed."""
    constraints = state["constraints"]
    answers = await audit_request(
        state["task"], state["incidents"], constraints, runtime.context.coder
    )
    return {"constraints": (*constraints, *answers.items), "dropped": list(answers.dropped)}


def freeze(state: Grounding, runtime: Runtime[Study]) -> FreezeUpdate:
    """Freeze and hash the criteria, and attach the statistics of the study."""
    task, criteria, stats = state["task"], state["criteria"], _stats(state)
    if runtime.context.contrast:
        contrast = _contrast(state)
        criteria = contrasted(criteria, contrast["discrimination"])
        stats = {**stats, "contrast": contrast}
    return {
        "criteria": criteria,
        "criteria_set": CriteriaSet(
            request_hash=task.request_hash,
            language=_language(state),
            genre=task.genre,
            core=state["core"],
            criteria=criteria,
            stats=stats,
        ),
    }


def _language(state: Grounding) -> str:
    """Language of the request, or of the drafts if the request is too short to tell."""
    task = state["task"]
    if is_sure(task.request):
        return task.language
    clear = (each.text for each in state["drafts"] if letter_weight(each.text) >= CLEAR_LETTERS)
    counts = Counter(map(language_of, clear)).most_common(1)
    return counts[0][0] if counts and may_be(task.request, counts[0][0]) else task.language


def build() -> StateGraph[Grounding, Study, WorkflowInput, Grounding]:
    """Wire the workflow; the caller compiles it, with or without a checkpointer.

    Drafts are sampled and observed while the request is coded and audited. When both are done,
    the notes on the drafts are coded.
    """
    return build_without(())


def build_without(stages: Collection[str]) -> Workflow:
    """Wire the workflow without some of its stages.

    Args:
        stages: Names in `ablation.STAGES` to leave out.

    Raises:
        ConfigError: If a name is not in `ablation.STAGES`.
    """
    left_out = stages_left_out(stages)
    graph = StateGraph(Grounding, context_schema=Study, input_schema=WorkflowInput)
    graph.add_node("split", split)
    graph.add_node("consult", reuse.consult)
    graph.add_node("audit_brief", audit_brief)
    coding = _add_coding(graph, left_out)
    axial, selective = _add_induction(graph, left_out)
    graph.add_node("criteria_writing", criteria_writing.build_without(left_out).compile())
    graph.add_node("shelve", reuse.shelve)
    graph.add_node("freeze", freeze)
    graph.add_edge(START, "split")
    graph.add_edge("split", "consult")
    graph.add_edge(coding, axial)
    graph.add_edge(axial, selective)
    graph.add_edge(selective, "criteria_writing")
    graph.add_edge("criteria_writing", "shelve")
    graph.add_edge("shelve", "freeze")
    graph.add_edge("freeze", END)
    return graph


def _add_coding(graph: Workflow, left_out: Collection[str]) -> str:
    """Add the nodes that code the request and the drafts; return the name of the last one."""
    coding = open_coding.build_without(left_out).compile()
    graph.add_node("code_request", coding)
    if "drafts" in left_out:
        graph.add_conditional_edges("consult", steps_on_request, ["code_request", "audit_brief"])
        return "code_request"
    graph.add_node("sampling", sampling.build().compile())
    graph.add_node("code_drafts", coding)
    graph.add_conditional_edges("consult", first_steps, ["sampling", "code_request", "audit_brief"])
    graph.add_edge(["sampling", "code_request"], "code_drafts")
    return "code_drafts"


def _add_induction(graph: Workflow, left_out: Collection[str]) -> tuple[str, str]:
    """Add axial and selective coding, or their replacements; return the names of both nodes."""
    axial = "categories_of_codes" if "axial" in left_out else "axial_coding"
    selective = "weigh_alike" if "selective" in left_out else "selective_coding"
    if "axial" in left_out:
        graph.add_node(axial, categories_of_codes)
    else:
        graph.add_node(axial, axial_coding.build().compile())
    if "selective" in left_out:
        graph.add_node(selective, weigh_alike)
    else:
        graph.add_node(selective, selective_coding.build().compile())
    return axial, selective


def _stats(state: Grounding) -> dict[str, Any]:
    dropped = Counter(entry.stage for entry in state.get("dropped", []))
    criteria, codes = state["criteria"], state["codes"]
    trace = state.get("saturation", ())
    latest = latest_trials(state)
    stats = {
        "coverage": provenance.coverage(provenance.trace(state)),
        "incidents": len(state["incidents"]),
        "drafts": len(state.get("drafts", [])),
        "codes": len(codes),
        "categories": len(state["categories"]),
        "parsimony": len(criteria) / len(codes),
        "strength_share": strength_share(state.get("drafts", []), latest),
        "saturation": [entry.model_dump() for entry in trace],
        "saturated": bool(trace and trace[-1].saturated),
        "refused": dict(Counter(finding.fault for finding in state.get("findings", []))),
        "dropped": dict(dropped),
    }
    return stats | ({"library": _reuse(state)} if "consulted" in state else {})


def _contrast(state: Grounding) -> dict[str, Any]:
    """How well each criterion discriminates: in all studies that the library knows, or in this."""
    update, scores = state.get("kept"), trusted_scores(state["criteria"], latest_trials(state))
    return {
        "discrimination": spreads(scores) | (update.discrimination if update else {}),
        "silent": silent(scores),
    }


def _reuse(state: Grounding) -> dict[str, Any]:
    """Statistics on the use of the library."""
    consulted, update = state["consulted"], state.get("kept")
    wordings = {suggestion.description for suggestion in consulted.suggestions}
    return {
        "version": consulted.version,
        "suggested": [suggestion.id for suggestion in consulted.suggestions],
        "ids": update.ids if update else {},
        "reused": list(update.reused) if update else [],
        "retired": {each.id: each.retired for each in update.retired} if update else {},
        "copied": [c.id for c in state["criteria"] if c.description in wordings],
    }
