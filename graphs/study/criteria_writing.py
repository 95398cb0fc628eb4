"""Write the criteria, check them and try them out; rewrite those that fail, twice at most."""

import operator
from collections.abc import Collection
from typing import Annotated, Literal, NotRequired, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.criteria import (
    FEWEST_CRITERIA,
    MOST_HARD,
    STRENGTH_SHARE,
    CriterionRefusal,
    Slot,
    Trial,
    duplicates,
    hard_criteria,
    is_sound,
    keep_valid,
    plan_criteria,
    strength_share,
    try_out,
    ungrounded,
    uniquely_named,
    weaknesses,
    write_criterion,
)
from quillgraph.agents.domain import (
    Category,
    Code,
    Core,
    Criterion,
    Draft,
    Dropped,
    Incident,
    Memo,
    Tier,
    WritingTask,
)
from quillgraph.agents.memory import Consulted, Suggestion
from quillgraph.agents.requests import Constraint
from quillgraph.agents.role import LARGER_OR_ROOM, lost_reply
from quillgraph.backends.embeddings import vectors
from quillgraph.backends.errors import ReplyError
from quillgraph.graphs.study.state import Study, merged, suggestions_of


class CriteriaWritingInput(TypedDict):
    """Input of the stage."""

    task: WritingTask
    constraints: tuple[Constraint, ...]
    incidents: list[Incident]
    drafts: list[Draft]
    codes: tuple[Code, ...]
    categories: tuple[Category, ...]
    core: Core
    tiers: dict[str, Tier]
    consulted: NotRequired[Consulted]
    """Suggestions of the library; absent in a study without a library."""


class CriteriaWritingOutput(TypedDict):
    """Output of the stage."""

    slots: tuple[Slot, ...]
    criteria: tuple[Criterion, ...]
    spared: tuple[str, ...]
    trials: Annotated[dict[str, Trial], merged]
    findings: Annotated[list[CriterionRefusal], operator.add]
    memos: Annotated[list[Memo], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class CriteriaWriting(CriteriaWritingInput, CriteriaWritingOutput):
    """State of the stage."""

    spare: tuple[Slot, ...]
    versions: Annotated[dict[str, Criterion], merged]
    """Latest version of each slot's criterion, by slot id."""
    refused: dict[str, CriterionRefusal]
    """Fault of the latest version, by slot id."""
    repairs: int


class SlotInput(TypedDict):
    """Input of a call that writes one criterion."""

    task: WritingTask
    slot: Slot
    incidents: list[Incident]
    storyline: str
    taken: list[str]
    complaint: str
    suggestions: tuple[Suggestion, ...]


class TrialInput(TypedDict):
    """Input of the trial of one criterion."""

    task: WritingTask
    criterion: Criterion
    drafts: list[Draft]


class LayoutUpdate(TypedDict):
    """What `lay_out` writes."""

    slots: tuple[Slot, ...]
    spare: tuple[Slot, ...]
    repairs: int
    dropped: list[Dropped]


class WriteUpdate(TypedDict):
    """What `write` writes."""

    versions: dict[str, Criterion]
    dropped: list[Dropped]


class RefusalsUpdate(TypedDict):
    """What `examine` and `weigh` write."""

    refused: dict[str, CriterionRefusal]
    findings: list[CriterionRefusal]


class TrialUpdate(TypedDict):
    """What `try_criterion` writes."""

    trials: dict[str, Trial]
    dropped: list[Dropped]


class WeightsUpdate(RefusalsUpdate):
    """What `weigh` writes."""

    memos: list[Memo]


class RepairUpdate(TypedDict):
    """What `repair` writes."""

    slots: tuple[Slot, ...]
    spare: tuple[Slot, ...]
    repairs: int


class FinalUpdate(TypedDict):
    """What `settle` writes."""

    criteria: tuple[Criterion, ...]
    spared: tuple[str, ...]
    memos: list[Memo]
    dropped: list[Dropped]


def current_criteria(state: CriteriaWriting) -> list[Criterion]:
    """The latest version of each slot's criterion, in the order of the slots."""
    versions = state.get("versions", {})
    return [versions[slot.id] for slot in state["slots"] if slot.id in versions]


def version_of(criterion: Criterion) -> str:
    """Key of a version of a criterion: a rewritten criterion gets a new key, and a new trial."""
    return criterion.model_dump_json()


def trials_of_latest(state: CriteriaWriting) -> dict[str, Trial]:
    """Trial of each criterion's latest version, by criterion id; absent if not tried yet."""
    trials = state.get("trials", {})
    return {c.id: trials[version_of(c)] for c in current_criteria(state) if version_of(c) in trials}


MOST_REPAIRS = 2
"""How often a criterion is rewritten at most (`ALGORITHM.md` 6.2 step 11)."""


def lay_out(state: CriteriaWritingInput) -> LayoutUpdate:
    """Plan the criteria of the set, one slot for each."""
    hard = state["constraints"]
    slots, spare = plan_criteria(
        state["categories"],
        state["codes"],
        state["tiers"],
        hard=min(len(hard), MOST_HARD),
        language=state["task"].language,
    )
    left_out = [
        Dropped(stage="criteria", agent="plan", reason="more than the set can hold", text=c.name)
        for c in hard[MOST_HARD:]
    ]
    return {"slots": slots, "spare": spare, "repairs": 0, "dropped": left_out}


def deal_slots(state: CriteriaWriting) -> list[Send]:
    """Send each slot that has no criterion, or a refused one, to the criteria writer."""
    refused, versions = state.get("refused", {}), state.get("versions", {})
    due = [slot for slot in state["slots"] if slot.id not in versions or slot.id in refused]
    return [
        Send(
            "write",
            SlotInput(
                task=state["task"],
                slot=slot,
                incidents=_behind(slot, state),
                storyline=state["core"].storyline,
                taken=[
                    *(constraint.name for constraint in state["constraints"]),
                    *(c.name for slot_id, c in versions.items() if slot_id != slot.id),
                ],
                complaint=_complaint(slot, state),
                suggestions=suggestions_of(state),
            ),
        )
        for slot in due
    ]


async def write(state: SlotInput, runtime: Runtime[Study]) -> WriteUpdate:
    """Write the criterion of one slot."""
    slot = state["slot"]
    try:
        criterion = await write_criterion(
            state["task"],
            slot,
            state["incidents"],
            runtime.context.criteria_writer,
            storyline=state["storyline"],
            taken=state["taken"],
            complaint=state["complaint"],
            suggestions=state["suggestions"],
        )
    except ReplyError as error:
        drop = lost_reply("criteria", runtime.context.criteria_writer, error)
        return {"versions": {}, "dropped": [drop]}
    return {"versions": {slot.id: criterion}, "dropped": []}


async def examine(state: CriteriaWriting, runtime: Runtime[Study]) -> RefusalsUpdate:
    """Refuse the criteria with faults that code can find: without evidence, or duplicates."""
    criteria = _written_criteria(state)
    texts = [f"{c.name}. {c.description}" for c in criteria]
    near = await vectors(texts, runtime.context.embeddings)
    by_id = {incident.id: incident for incident in state["incidents"]}
    findings = [*ungrounded(criteria, by_id), *duplicates(criteria, near)]
    return {"refused": _by_slot(findings), "findings": findings}


def deal_trials(state: CriteriaWriting) -> list[Send] | str:
    """Send each criterion whose latest version has not been tried to a trial."""
    trials, refused = state.get("trials", {}), state["refused"]
    if not state["drafts"]:
        return "weigh"
    sends = [
        Send(
            "try_out",
            TrialInput(task=state["task"], criterion=criterion, drafts=state["drafts"]),
        )
        for criterion in current_criteria(state)
        if criterion.id not in refused and version_of(criterion) not in trials
    ]
    return sends or "weigh"


async def try_criterion(state: TrialInput, runtime: Runtime[Study]) -> TrialUpdate:
    """Have the validator score the drafts and the degenerate texts on one criterion."""
    criterion = state["criterion"]
    trial, drops = await try_out(
        state["task"], criterion, state["drafts"], runtime.context.validator
    )
    return {"trials": {version_of(criterion): trial}, "dropped": list(drops)}


def weigh(state: CriteriaWriting) -> WeightsUpdate:
    """Refuse the criteria that failed their trials, unless the validator's scores are unsound."""
    criteria, trials = current_criteria(state), trials_of_latest(state)
    if not is_sound(criteria, trials):
        memo = Memo(
            stage="criteria",
            round=state["repairs"] + 1,
            agent="validator",
            text=(
                "the validator did not put real drafts above degenerate texts on most criteria, "
                "so its scores refused none"
                if trials
                else "no drafts to try the criteria on"
            ),
        )
        return {"refused": state["refused"], "findings": [], "memos": [memo]}
    findings = [f for f in weaknesses(criteria, trials) if f.criterion_id not in state["refused"]]
    return {
        "refused": {**state["refused"], **_by_slot(findings)},
        "findings": findings,
        "memos": _memo_on_strength(state, trials),
    }


def next_step(state: CriteriaWriting) -> Literal["repair", "settle"]:
    """Repair while a criterion is refused or missing, and repairs are left."""
    complete = all(slot.id in state["versions"] for slot in state["slots"])
    if (state["refused"] or not complete) and state["repairs"] < MOST_REPAIRS:
        return "repair"
    return "settle"


def repair(state: CriteriaWriting) -> RepairUpdate:
    """Count a repair; the slot of a criterion that was a duplicate twice gets another property."""
    slots, spare = list(state["slots"]), list(state["spare"])
    for place, slot in enumerate(slots):
        finding = state["refused"].get(slot.id)
        again = finding is not None and finding.fault == "duplicate" and state["repairs"] > 0
        if again and spare:
            slots[place] = spare.pop(0)
    return {"slots": tuple(slots), "spare": tuple(spare), "repairs": state["repairs"] + 1}


def settle(state: CriteriaWriting) -> FinalUpdate:
    """Drop the criteria that are still refused, but keep at least `FEWEST_CRITERIA`."""
    hard = hard_criteria(state["constraints"])
    refused = state.get("refused", {})
    valid = keep_valid(_written_criteria(state), refused, fewest=FEWEST_CRITERIA - len(hard))
    dimensions = {slot.id: slot.property.name for slot in state["slots"]}
    memos = [
        _memo(state, criterion, f"kept although refused: {refused[criterion.id].reason}")
        for criterion in valid.spared
    ]
    if (total := len(hard) + len(valid.criteria)) < FEWEST_CRITERIA:
        text = f"the study gave no more than {total} criteria"
        memos.append(Memo(stage="criteria", round=state["repairs"] + 1, agent="plan", text=text))
    return {
        "criteria": uniquely_named([*hard, *valid.criteria], dimensions),
        "spared": tuple(criterion.id for criterion in valid.spared),
        "memos": memos,
        "dropped": list(valid.dropped),
    }


def build() -> StateGraph[CriteriaWriting, Study, CriteriaWritingInput, CriteriaWritingOutput]:
    """Wire the stage."""
    return build_without(())


def build_without(
    stages: Collection[str],
) -> StateGraph[CriteriaWriting, Study, CriteriaWritingInput, CriteriaWritingOutput]:
    """Wire the stage, without validation if `stages`, the stages to leave out, names it."""
    graph = StateGraph(
        CriteriaWriting,
        context_schema=Study,
        input_schema=CriteriaWritingInput,
        output_schema=CriteriaWritingOutput,
    )
    graph.add_node("lay_out", lay_out)
    graph.add_node("write", write, input_schema=SlotInput)
    graph.add_node("settle", settle)
    graph.add_edge(START, "lay_out")
    graph.add_conditional_edges("lay_out", deal_slots, ["write"])
    graph.add_edge("settle", END)
    if "validation" in stages:
        graph.add_edge("write", "settle")
        return graph
    graph.add_node("examine", examine)
    graph.add_node("try_out", try_criterion, input_schema=TrialInput)
    graph.add_node("weigh", weigh)
    graph.add_node("repair", repair)
    graph.add_edge("write", "examine")
    graph.add_conditional_edges("examine", deal_trials, ["try_out", "weigh"])
    graph.add_edge("try_out", "weigh")
    graph.add_conditional_edges("weigh", next_step, ["repair", "settle"])
    graph.add_conditional_edges("repair", deal_slots, ["write"])
    return graph


def _written_criteria(state: CriteriaWriting) -> list[Criterion]:
    if not (criteria := current_criteria(state)):
        raise ReplyError(
            "at least one criterion from the criteria writer", "no criterion at all", LARGER_OR_ROOM
        )
    return criteria


def _behind(slot: Slot, state: CriteriaWriting) -> list[Incident]:
    """Incidents of the code behind a slot's property, or else of all codes of its category."""
    codes = [code for code in state["codes"] if code.id in slot.category.code_ids]
    own = [code for code in codes if code.label == slot.property.name]
    evidence = {incident for code in own or codes for incident in code.evidence}
    return [incident for incident in state["incidents"] if incident.id in evidence]


def _complaint(slot: Slot, state: CriteriaWriting) -> str:
    """Fault of the last version; its name makes two complaints of the same fault differ."""
    finding = state.get("refused", {}).get(slot.id)
    return f"{state['versions'][slot.id].name!r}: {finding.reason}" if finding else ""


def _by_slot(findings: list[CriterionRefusal]) -> dict[str, CriterionRefusal]:
    return {finding.criterion_id: finding for finding in reversed(findings)}


def _memo_on_strength(state: CriteriaWriting, trials: dict[str, Trial]) -> list[Memo]:
    share = strength_share(state["drafts"], trials)
    if share is None or share >= STRENGTH_SHARE:
        return []
    text = f"strong drafts beat weak ones on {share:.0%} of the criteria only"
    number = state["repairs"] + 1
    return [Memo(stage="criteria", round=number, agent="validator", text=text)]


def _memo(state: CriteriaWriting, criterion: Criterion, text: str) -> Memo:
    return Memo(
        stage="criteria",
        round=state["repairs"] + 1,
        agent="validator",
        text=f"{criterion.name!r} {text}",
        refs=(criterion.id,),
    )
