"""Open coding with constant comparison, round by round until saturation."""

import operator
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Annotated, NotRequired, TypedDict, TypeVar

import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from quillgraph.agents.domain import Code, Coding, Dropped, Incident, Memo, WritingTask
from quillgraph.agents.grounded_theory import (
    BASE,
    Pair,
    agreed,
    code_text,
    compare,
    is_saturated,
    merge,
    new_code_ratio,
    open_code,
    similar_pairs,
)
from quillgraph.agents.lenses import IDENTITIES
from quillgraph.agents.memory import Consulted, Suggestion
from quillgraph.agents.requests import Constraint, is_said_in_full
from quillgraph.agents.role import Role
from quillgraph.backends.embeddings import vectors
from quillgraph.graphs.study.state import CodingRound, Study, suggestions_of

T = TypeVar("T")

MOST_ROUNDS = 6
"""Rounds after which coding stops even if it is not saturated (`ALGORITHM.md` 6.2 step 6)."""

NEAREST_CODES = 5
"""Number of known codes in a coder's prompt (Thematic-LM)."""


class Data(TypedDict):
    """Input of the stage, and of each round."""

    task: WritingTask
    consulted: NotRequired[Consulted]
    constraints: tuple[Constraint, ...]
    incidents: list[Incident]
    codes: NotRequired[tuple[Code, ...]]
    coded: NotRequired[tuple[str, ...]]
    new_codes: NotRequired[tuple[int, ...]]
    saturation: NotRequired[tuple[CodingRound, ...]]


class OpenCodingOutput(TypedDict, total=False):
    """Output of coding; empty if there is nothing to code."""

    codes: tuple[Code, ...]
    coded: tuple[str, ...]
    new_codes: tuple[int, ...]
    saturation: tuple[CodingRound, ...]
    memos: Annotated[list[Memo], operator.add]
    dropped: Annotated[list[Dropped], operator.add]


class OpenCoding(Data, OpenCodingOutput):
    """State of the stage."""


class Round(OpenCoding):
    """State of one round; its own fields start empty."""

    batch: list[Incident]
    codings: Annotated[list[Coding], operator.add]
    pairs: tuple[Pair, ...]
    same: Annotated[list[str], operator.add]


class CodeInput(TypedDict):
    """Input of a coder's call."""

    task: WritingTask
    incidents: list[Incident]
    codes: list[Code]
    identity: str
    suggestions: tuple[Suggestion, ...]


class CompareInput(TypedDict):
    """Input of a comparator's call."""

    pairs: list[Pair]
    codes: tuple[Code, ...]
    codings: list[Coding]


class BatchUpdate(TypedDict):
    """What `choose` writes."""

    batch: list[Incident]


class CodeUpdate(TypedDict):
    """What `code` writes."""

    codings: list[Coding]
    dropped: list[Dropped]


class PairUpdate(TypedDict):
    """What `pair_up` writes."""

    pairs: tuple[Pair, ...]


class CompareUpdate(TypedDict):
    """What `compare_pairs` writes."""

    same: list[str]
    dropped: list[Dropped]


class MergeUpdate(TypedDict):
    """What `merge_codings` writes."""

    codes: tuple[Code, ...]
    coded: tuple[str, ...]
    new_codes: tuple[int, ...]
    saturation: tuple[CodingRound, ...]
    memos: list[Memo]
    dropped: list[Dropped]


def waiting(state: Data) -> list[Incident]:
    """The incidents that are still to be coded.

    An incident that says little more than a constraint needs no coder: it goes straight to its
    hard criterion, unless the request has no other incidents.
    """
    coded = set(state.get("coded", ()))
    uncoded = [incident for incident in state["incidents"] if incident.id not in coded]
    open_incidents = [
        incident
        for incident in uncoded
        if not is_said_in_full(incident, state["constraints"], state["task"].language)
    ]
    return open_incidents if open_incidents or coded else uncoded


async def choose(state: Data, runtime: Runtime[Study]) -> BatchUpdate:
    """Choose the batch of a round: the whole request first, then the notes least like the codes."""
    uncoded = waiting(state)
    request = [incident for incident in uncoded if incident.source == "request"]
    if request:
        return {"batch": request}
    codes = state.get("codes", ())
    if not codes or len(uncoded) <= BASE:
        return {"batch": uncoded[:BASE]}
    known = await vectors([code_text(code) for code in codes], runtime.context.embeddings)
    notes = await vectors([i.note or i.text for i in uncoded], runtime.context.embeddings)
    similarity = (notes @ known.T).max(axis=1)
    farthest = np.argsort(similarity, kind="stable")[:BASE]
    # in reading order: sorted by novelty, the last incidents would always bring farthest new codes
    return {"batch": [uncoded[place] for place in sorted(farthest)]}


async def deal(state: Round, runtime: Runtime[Study]) -> list[Send]:
    """Give every incident to every coder, as many per call as the backend can take."""
    study, codes = runtime.context, list(state.get("codes", ()))
    chunks = _chunks(state["batch"], study.coder)
    known = await vectors([code_text(code) for code in codes], study.embeddings)
    sends = []
    for chunk in chunks:
        words = " ".join(incident.note or incident.text for incident in chunk)
        near = known @ (await vectors([words], study.embeddings))[0] if codes else np.zeros(0)
        nearest = [codes[place] for place in np.argsort(-near, kind="stable")[:NEAREST_CODES]]
        for identity in IDENTITIES:
            part = CodeInput(
                task=state["task"],
                incidents=chunk,
                codes=nearest,
                identity=identity,
                suggestions=suggestions_of(state),
            )
            sends.append(Send("code", part))
    return sends


async def code(state: CodeInput, runtime: Runtime[Study]) -> CodeUpdate:
    """Code some incidents as one of the coder identities."""
    answers = await open_code(
        state["task"],
        state["incidents"],
        state["codes"],
        state["identity"],
        runtime.context.coder,
        runtime.context.embeddings,
        state["suggestions"],
    )
    return {"codings": list(answers.items), "dropped": list(answers.dropped)}


async def pair_up(state: Round, runtime: Runtime[Study]) -> PairUpdate:
    """Find the pairs of codes that are similar enough to compare."""
    pairs = await similar_pairs(
        state.get("codes", ()), state["codings"], runtime.context.embeddings
    )
    return {"pairs": pairs}


def deal_pairs(state: Round, runtime: Runtime[Study]) -> list[Send] | str:
    """Give the pairs to the comparator, as many per call as its backend can take."""
    codes, codings = state.get("codes", ()), state["codings"]
    chunks = _chunks(state["pairs"], runtime.context.comparator)
    sends = [
        Send("compare_pairs", CompareInput(pairs=chunk, codes=codes, codings=codings))
        for chunk in chunks
    ]
    return sends or "merge_codings"


async def compare_pairs(state: CompareInput, runtime: Runtime[Study]) -> CompareUpdate:
    """Ask whether the two codes of each pair mean the same."""
    answers = await compare(
        state["pairs"], state["codes"], state["codings"], runtime.context.comparator
    )
    return {"same": list(agreed(answers)), "dropped": list(answers.dropped)}


def merge_codings(state: Round) -> MergeUpdate:
    """Merge the codes that mean the same, count the new codes, and test for saturation."""
    before, same = state.get("codes", ()), set(state.get("same", ()))
    same_pairs = [pair for pair in state.get("pairs", ()) if pair.id in same]
    codes = merge(before, state["codings"], same_pairs)
    fresh = Counter(code.evidence[0] for code in codes[len(before) :])
    batch = [incident.id for incident in state["batch"]]
    # an incident without a code says nothing about saturation, so the counts leave it out
    cited = {incident for coding in state["codings"] for incident in coding.evidence}
    silent = [incident for incident in batch if incident not in cited]
    news = (fresh[incident] for incident in batch if incident in cited)
    counts = (*state.get("new_codes", ()), *news)
    trace = state.get("saturation", ())
    latest = CodingRound(
        round=len(trace) + 1,
        incidents=len(batch),
        new_codes=len(codes) - len(before),
        codes=len(codes),
        ratio=new_code_ratio(counts),
        saturated=bool(cited) and is_saturated(counts),
    )
    return {
        "codes": codes,
        "coded": (*state.get("coded", ()), *batch),
        "new_codes": counts,
        "saturation": (*trace, latest),
        "memos": [_memo(latest, len(state["codings"]), same_pairs)],
        "dropped": [
            Dropped(stage="open coding", agent="coder", reason="no coder named it", text=incident)
            for incident in silent
        ],
    }


def more_rounds(state: Data) -> str:
    """Continue while there are incidents to code, rounds are left and coding is not saturated."""
    trace = state.get("saturation", ())
    return END if trace and trace[-1].saturated else all_rounds(state)


def all_rounds(state: Data) -> str:
    """Continue while there are incidents to code and rounds are left, saturated or not."""
    is_over = not waiting(state) or len(state.get("saturation", ())) >= MOST_ROUNDS
    return END if is_over else "round"


def build_round(without: Collection[str] = ()) -> StateGraph[Round, Study, Data, OpenCodingOutput]:
    """Wire one round, with or without comparison."""
    graph = StateGraph(
        Round, context_schema=Study, input_schema=Data, output_schema=OpenCodingOutput
    )
    graph.add_node("choose", choose)
    graph.add_node("code", code, input_schema=CodeInput)
    graph.add_node("merge_codings", merge_codings)
    graph.add_edge(START, "choose")
    graph.add_conditional_edges("choose", deal, ["code"])
    graph.add_edge("merge_codings", END)
    if "comparison" in without:
        graph.add_edge("code", "merge_codings")
        return graph
    graph.add_node("pair_up", pair_up)
    graph.add_node("compare_pairs", compare_pairs, input_schema=CompareInput)
    graph.add_edge("code", "pair_up")
    graph.add_conditional_edges("pair_up", deal_pairs, ["compare_pairs", "merge_codings"])
    graph.add_edge("compare_pairs", "merge_codings")
    return graph


def build() -> StateGraph[OpenCoding, Study, Data, OpenCodingOutput]:
    """Wire the stage: rounds until saturation."""
    return build_without(())


def build_without(stages: Collection[str]) -> StateGraph[OpenCoding, Study, Data, OpenCodingOutput]:
    """Wire the stage without those of comparison and saturation that `stages` names."""
    graph = StateGraph(
        OpenCoding, context_schema=Study, input_schema=Data, output_schema=OpenCodingOutput
    )
    goes_on = all_rounds if "saturation" in stages else more_rounds
    graph.add_node("round", build_round(stages).compile())
    graph.add_conditional_edges(START, goes_on, ["round", END])
    graph.add_conditional_edges("round", goes_on, ["round", END])
    return graph


def _chunks(items: Sequence[T], role: Role) -> list[list[T]]:
    size = role.items_per_call
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def _memo(latest: CodingRound, codings: int, same_pairs: Sequence[Pair]) -> Memo:
    return Memo(
        stage="open coding",
        round=latest.round,
        agent="comparator",
        text=(
            f"{codings} codings of {latest.incidents} incidents gave {latest.new_codes} new codes; "
            f"{len(same_pairs)} pairs were held to be the same"
        ),
    )
