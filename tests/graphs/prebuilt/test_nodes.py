"""Pieces in a graph of somebody's own: they read and write its state, and take its roles."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from quillgraph.agents.domain import CriteriaSet, WritingTask
from quillgraph.agents.judgements import Judgement, Reward
from quillgraph.agents.requests import writing_task
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast, in_role
from quillgraph.graphs.episodes.runner import run_graph
from quillgraph.graphs.prebuilt import best_of_n
from quillgraph.graphs.prebuilt import nodes as pieces
from quillgraph.graphs.prebuilt.workshop import Workshop

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
FERRY = writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8"))
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))
LIGHTHOUSE = writing_task((SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Office:
    """A context that knows nothing of ours but chat models."""

    novelist: BaseChatModel
    judge: BaseChatModel
    minilm: Embeddings | None = None


class Desk(TypedDict, total=False):
    """A state of somebody's own."""

    task: WritingTask
    criteria_set: CriteriaSet
    text: str
    judgement: Judgement
    reward: Reward
    words: int


def ferry() -> Office:
    chat = ScriptedChat(path=SCRIPTS / "ferry.yaml")
    return Office(chat, chat)


def chained(*nodes: tuple[str, Any]) -> StateGraph[Desk, Office, Desk, Desk]:
    graph = StateGraph(Desk, context_schema=Office)
    for name, node in nodes:
        graph.add_node(name, node)
    for one, other in zip(
        [START, *(n for n, _ in nodes)], [*(n for n, _ in nodes), END], strict=True
    ):
        graph.add_edge(one, other)
    return graph


async def test_a_writer_a_judge_and_a_reflector_of_ones_own_pass_a_text_on() -> None:
    def counted(state: Desk) -> Desk:
        return {"words": len(state["text"].split())}

    graph = chained(
        ("draft", pieces.draft("novelist")),
        ("judge", pieces.judge("judge")),
        ("reflect", pieces.reflect("judge")),
        ("revise", pieces.revise("novelist")),
        ("count", counted),
    )
    episode = await run_graph(graph, FERRY, start={"criteria_set": CRITERIA}, context=ferry())
    assert episode.failure is None
    assert episode.output is not None
    # the script's first revision, which takes "very afraid" out
    assert episode.output["text"].startswith("Fog sat on the wheel like wet wool.")
    assert episode.output["words"] == 8 + 12 + 11
    # the judge is asked twice, and the roles have the names of the context's fields
    assert [(c.node, c.role) for c in episode.calls] == [
        ("draft", "novelist"), ("score", "judge"), ("score", "judge"), ("reflect", "judge"),
        ("revise", "novelist"),
    ]  # fmt: skip


def test_what_a_node_reads_is_part_of_a_graph_that_does_not_declare_it() -> None:
    graph = chained(("reflect", pieces.reflect("judge")), ("revise", pieces.revise("novelist")))
    assert "plan" in graph.compile().channels


async def test_criteria_are_found_by_the_model_of_one_role() -> None:
    chat = ScriptedChat(path=SCRIPTS / "lighthouse.yaml")
    office = Office(chat, chat, LexicalEmbeddings())
    node = pieces.criteria("judge", embeddings="minilm")
    done = await chained(("criteria", node)).compile().ainvoke({"task": LIGHTHOUSE}, context=office)
    assert done["criteria_set"].request_hash == LIGHTHOUSE.request_hash
    assert len(done["criteria_set"].criteria) == 6


async def test_a_graph_of_ours_runs_under_a_context_made_of_ones_own() -> None:
    def workshop(office: Office) -> Workshop:
        return cast(Workshop, office.novelist, roles={"judge": office.judge})

    class Contest(Desk, total=False):
        n: int
        episode: Any

    graph = StateGraph(Contest, context_schema=Office)
    graph.add_node("contest", pieces.under(best_of_n.build(), workshop, keep=["episode"]))
    graph.add_edge(START, "contest")
    start: Any = {"task": FERRY, "criteria_set": CRITERIA, "n": 2}
    done = await graph.compile().ainvoke(start, context=ferry())
    assert [attempt.decision for attempt in done["episode"].attempts] == ["drawn", "drawn"]


def test_a_part_that_the_graph_does_not_give_is_refused_when_the_node_is_made() -> None:
    with pytest.raises(ConfigError, match=r"gives no 'epsode': did you mean 'episode'\?"):
        pieces.under(best_of_n.build(), lambda office: office, keep=["epsode"])


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (None, "expected 'writer' in the graph's context, got none"),
        ({"novelist": None}, "the graph's context has no 'writer': valid: novelist"),
        ({"writer": 3}, "expected a Role or a chat model as 'writer' of the context, got int"),
    ],
)
def test_a_role_that_is_not_there_is_named(context: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pieces.role(context, "writer")


@dataclass(frozen=True)
class Branch(Office):
    """Adds nothing of its own to what it has from another."""


@dataclass(frozen=True, slots=True)
class Annex(Office):
    archivist: BaseChatModel | None = None


class Form(BaseModel, arbitrary_types_allowed=True):
    novelist: Any


class Longer(Form):
    judge: Any


@pytest.mark.parametrize("kind", [Branch, Annex, Longer])
def test_a_field_that_a_context_has_from_another_class_is_a_role(kind: type[Any]) -> None:
    chat = ScriptedChat(reply=lambda _: "so")
    context = kind(novelist=chat, judge=chat)
    assert pieces.role(context, "novelist").model is chat
    assert pieces.role(context, "judge").model is chat
    with pytest.raises(ConfigError, match=r"no 'poet': .*novelist"):
        pieces.role(context, "poet")


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        (lambda chat: chat.bind(temperature=0.0, seed=3), "bound to seed, temperature, which"),
        (lambda chat: chat.with_config(tags=["dry"]), "bound to tags, which"),
        (lambda chat: in_role(chat, "writer").bind(top_p=0.5), "bound to top_p, which"),
    ],
)
def test_a_model_whose_options_would_be_lost_is_refused(bound: Any, message: str) -> None:
    chat = ScriptedChat(reply=lambda _: "so")
    with pytest.raises(ConfigError, match=message):
        pieces.role({"writer": bound(chat)}, "writer")
    assert pieces.role({"writer": in_role(chat, "writer")}, "writer").model is chat
