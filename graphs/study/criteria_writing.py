"""Criteria are written, examined and tried out; what fails is written again, twice at most."""

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
    """What the stage starts from."""

    task: WritingTask
    constraints: tuple[Constraint, ...]
    incidents: list[Incident]
    drafts: list[Draft]
    codes: tuple[Code, ...]
    categories: tuple[Category, ...]
    core: Core
    tiers: dict[str, Tier]
    consulted: NotRequired[Consulted]
    """What the library suggests; absent where there is none."""


class CriteriaWritingOutput(TypedDict):
    """What the stage gives."""

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
    """Slot id to the latest version of its criterion."""
    refused: dict[str, CriterionRefusal]
    """Slot id to what was wrong with the latest version."""
    repairs: int


class SlotInput(TypedDict):
    """Input of one writing."""

    task: WritingTask
    slot: Slot
    incidents: list[Incident]
    storyline: str
    taken: list[str]
    complaint: str
    suggestions: tuple[Suggestion, ...]


class TrialInput(TypedDict):
    """Input of one trial."""

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
    """Say which version of a criterion this is: rewritten, it has to be tried again."""
    return criterion.model_dump_json()


def trials_of_latest(state: CriteriaWriting) -> dict[str, Trial]:
    """Criterion id to the trial of its latest version, where that has been tried."""
    trials = state.get("trials", {})
    return {c.id: trials[version_of(c)] for c in current_criteria(state) if version_of(c) in trials}


MOST_REPAIRS = 2
"""Times that a criterion is written again (`ALGORITHM.md` 6.2 step 11)."""


def lay_out(state: CriteriaWritingInput) -> LayoutUpdate:
    """Decide which criteria the set shall have."""
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
    """One writing per slot that has no criterion, or a refused one."""
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
        lost = lost_reply("criteria", runtime.context.criteria_writer, error)
        return {"versions": {}, "dropped": [lost]}
    return {"versions": {slot.id: criterion}, "dropped": []}


async def examine(state: CriteriaWriting, runtime: Runtime[Study]) -> RefusalsUpdate:
    """Refuse what code alone can see to be wrong."""
    criteria = _written(state)
    texts = [f"{c.name}. {c.description}" for c in criteria]
    near = await vectors(texts, runtime.context.embeddings)
    by_id = {incident.id: incident for incident in state["incidents"]}
    findings = [*ungrounded(criteria, by_id), *duplicates(criteria, near)]
    return {"refused": _by_slot(findings), "findings": findings}


def deal_trials(state: CriteriaWriting) -> list[Send] | str:
    """One trial per criterion that has not been tried in this version."""
    tried, refused = state.get("trials", {}), state["refused"]
    if not state["drafts"]:
        return "weigh"
    sends = [
        Send(
            "try_out",
            TrialInput(task=state["task"], criterion=criterion, drafts=state["drafts"]),
        )
        for criterion in current_criteria(state)
        if criterion.id not in refused and version_of(criterion) not in tried
    ]
    return sends or "weigh"


async def try_criterion(state: TrialInput, runtime: Runtime[Study]) -> TrialUpdate:
    """Score the drafts and the degenerate texts on one criterion."""
    criterion = state["criterion"]
    trial, lost = await try_out(
        state["task"], criterion, state["drafts"], runtime.context.validator
    )
    return {"trials": {version_of(criterion): trial}, "dropped": list(lost)}


def weigh(state: CriteriaWriting) -> WeightsUpdate:
    """Refuse what the trials speak against, if the validator can be trusted with it."""
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
    """Repair while something is refused, missing, and repairs are left."""
    complete = all(slot.id in state["versions"] for slot in state["slots"])
    if (state["refused"] or not complete) and state["repairs"] < MOST_REPAIRS:
        return "repair"
    return "settle"


def repair(state: CriteriaWriting) -> RepairUpdate:
    """Count a repair; a criterion that was a duplicate twice gets another property."""
    slots, spare = list(state["slots"]), list(state["spare"])
    for place, slot in enumerate(slots):
        finding = state["refused"].get(slot.id)
        again = finding is not None and finding.fault == "duplicate" and state["repairs"] > 0
        if again and spare:
            slots[place] = spare.pop(0)
    return {"slots": tuple(slots), "spare": tuple(spare), "repairs": state["repairs"] + 1}


def settle(state: CriteriaWriting) -> FinalUpdate:
    """Drop what is still refused, but not below the fewest criteria that a set may have."""
    hard = hard_criteria(state["constraints"])
    refused = state.get("refused", {})
    kept = keep_valid(_written(state), refused, fewest=FEWEST_CRITERIA - len(hard))
    dimensions = {slot.id: slot.property.name for slot in state["slots"]}
    memos = [
        _memo(state, criterion, f"kept although refused: {refused[criterion.id].reason}")
        for criterion in kept.spared
    ]
    if (total := len(hard) + len(kept.criteria)) < FEWEST_CRITERIA:
        text = f"the study gave no more than {total} criteria"
        memos.append(Memo(stage="criteria", round=state["repairs"] + 1, agent="plan", text=text))
    return {
        "criteria": uniquely_named([*hard, *kept.criteria], dimensions),
        "spared": tuple(criterion.id for criterion in kept.spared),
        "memos": memos,
        "dropped": list(kept.dropped),
    }


def build() -> StateGraph[CriteriaWriting, Study, CriteriaWritingInput, CriteriaWritingOutput]:
    """Wire the stage."""
    return build_without(())


def build_without(
    stages: Collection[str],
) -> StateGraph[CriteriaWriting, Study, CriteriaWritingInput, CriteriaWritingOutput]:
    """Wire the stage, without validation if that is among the stages to leave out."""
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


def _written(state: CriteriaWriting) -> list[Criterion]:
    if not (criteria := current_criteria(state)):
        raise ReplyError(
            "at least one criterion from the criteria writer", "no criterion at all", LARGER_OR_ROOM
        )
    return criteria


def _behind(slot: Slot, state: CriteriaWriting) -> list[Incident]:
    """The incidents of the code that a slot's property comes from, else of all its category's."""
    codes = [code for code in state["codes"] if code.id in slot.category.code_ids]
    own = [code for code in codes if code.label == slot.property.name]
    seen = {incident for code in own or codes for incident in code.evidence}
    return [incident for incident in state["incidents"] if incident.id in seen]


def _complaint(slot: Slot, state: CriteriaWriting) -> str:
    """What was wrong with the last version, by name: the same fault twice is two complaints."""
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
