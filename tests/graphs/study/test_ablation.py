"""Studies without one of their stages: it is not in the graph, and nobody is asked for it."""

import typing
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from quillgraph.agents.requests import segment, writing_task
from quillgraph.backends.calls import CallRecord, Recorder
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ConfigError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import open_coding
from quillgraph.graphs.study import workflow as criteria
from quillgraph.graphs.study.ablation import STAGES
from quillgraph.graphs.study.state import Grounding, Study

REQUEST = "Write a bedtime story about a lighthouse. The storm should feel safe. No moral, please."

GONE = {
    "drafts": {"sampling", "code_drafts", "draw", "read"},
    "comparison": {"pair_up", "compare_pairs"},
    "saturation": set[str](),
    "axial": {"axial_coding", "group", "describe", "gather", "relate_categories"},
    "selective": {"selective_coding", "choose_core", "link"},
    "validation": {"examine", "try_out", "weigh", "repair"},
}
"""Stage to the nodes that are its own; saturation is a rule and no node."""

SILENT = {
    "drafts": {"sampler", "observer"},
    "comparison": {"comparator"},
    "saturation": set[str](),
    "axial": {"axial_coder"},
    "selective": {"selective_coder"},
    "validation": {"validator"},
}
"""Stage to the roles that nobody needs without it."""


async def studied(
    stage: str | None, chat: ScriptedChat, **options: Any
) -> tuple[Grounding, Counter[str | None]]:
    calls: list[CallRecord] = []
    graph = criteria.build_without([stage] if stage else []).compile()
    study = cast(Study, chat, embeddings=LexicalEmbeddings(), **options)
    config: Any = {"callbacks": [Recorder(None, "study", calls.append)], "recursion_limit": 100}
    state = await graph.ainvoke({"task": writing_task(REQUEST)}, config, context=study)
    return typing.cast("Grounding", state), Counter(call.role for call in calls)


def nodes(stage: str | None) -> set[str]:
    drawn = criteria.build_without([stage] if stage else []).compile().get_graph(xray=True).nodes
    return {part for name in drawn for part in name.split(":")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_left_out_is_not_in_the_graph(stage: str) -> None:
    assert nodes(None) >= GONE[stage]
    assert not nodes(stage) & GONE[stage]


@pytest.mark.parametrize("items_per_call", [1, 8])
@pytest.mark.parametrize("stage", STAGES)
async def test_nobody_is_asked_for_it_and_the_study_ends_with_criteria(
    stage: str, items_per_call: int, choosing_chat: Callable[..., ScriptedChat]
) -> None:
    chat = choosing_chat(seed=2, items_per_call=items_per_call)
    _, calls = await studied(None, chat)
    without, still_asked = await studied(stage, chat)
    assert not set(still_asked) & SILENT[stage]
    # comparison is needed only where codes lie close
    assert stage == "comparison" or set(calls) >= SILENT[stage]
    assert without["criteria_set"].criteria
    assert {i for c in without["criteria"] for i in c.evidence} <= {
        incident.id for incident in without["incidents"]
    }


async def test_without_axial_coding_every_code_is_a_category(
    choosing_chat: Callable[..., ScriptedChat],
) -> None:
    state, _ = await studied("axial", choosing_chat(seed=2), drafts=1)
    assert [c.code_ids for c in state["categories"]] == [(code.id,) for code in state["codes"]]
    assert [c.name for c in state["categories"]] == [code.label for code in state["codes"]]
    assert state["relations"] == ()


async def test_without_selective_coding_nothing_is_the_core_and_all_weigh_alike(
    choosing_chat: Callable[..., ScriptedChat],
) -> None:
    state, _ = await studied("selective", choosing_chat(seed=2), drafts=1)
    assert (state["core"].category_id, state["core"].storyline) == ("", "")
    assert {c.weight for c in state["criteria"] if c.kind == "soft"} == {0.7}


async def test_without_validation_criteria_stay_as_they_were_first_written(
    choosing_chat: Callable[..., ScriptedChat],
) -> None:
    state, calls = await studied("validation", choosing_chat(seed=2, items_per_call=8))
    soft = [c for c in state["criteria"] if c.kind != "hard"]
    assert calls["criteria_writer"] == len(soft) == len(state["slots"])
    assert not state.get("findings")
    assert not state.get("trials")


async def test_without_saturation_every_note_is_coded(
    choosing_chat: Callable[..., ScriptedChat],
) -> None:
    # always the first choice: the second round brings no new code, and the whole study stops
    chat = choosing_chat()
    whole, _ = await studied(None, chat)
    without, _ = await studied("saturation", chat)
    ids = {incident.id for incident in without["incidents"]}
    assert whole["saturation"][-1].saturated
    assert set(whole["coded"]) < ids
    assert set(without["coded"]) == ids


async def test_without_comparison_close_codes_stay_apart_and_equal_labels_are_one() -> None:
    graph = open_coding.build_round(["comparison"]).compile()
    labels = {"reader": "The storm that keeps watch", "editor": "A storm that keeps watch"}

    def reply(request: Any) -> str:
        prompt = request.messages[-1].content
        label = next(
            (named for who, named in labels.items() if f"Code it as a {who}" in prompt), ""
        )
        label = label or labels["editor"]
        return (
            f'{{"items": [{{"label": "{label}", "gloss": "The storm never threatens the child.", '
            '"evidence": ["i1"], "near": "new", "confidence": 3}]}'
        )

    task = writing_task("A storm at night.")
    study = cast(Study, ScriptedChat(reply=reply), embeddings=LexicalEmbeddings())
    start: Any = {"task": task, "incidents": list(segment(task)), "constraints": ()}
    state = await graph.ainvoke(start, context=study)
    # the editor and the auditor use one label, the reader another
    assert len(state["codes"]) == 2


def test_a_stage_that_there_is_not_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'axial'"):
        criteria.build_without(["axiel"])
