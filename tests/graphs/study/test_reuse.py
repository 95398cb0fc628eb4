"""Studies that compare with a library, and what they leave there."""

import json
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from quillgraph.agents.criteria import trusted_scores
from quillgraph.agents.domain import Criterion, WritingTask
from quillgraph.agents.judgements import judged
from quillgraph.agents.memory import contrasted
from quillgraph.agents.requests import writing_task
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.memory import store as store_file
from quillgraph.graphs.memory.library import Library, Passed
from quillgraph.graphs.memory.store import LIBRARY
from quillgraph.graphs.study import workflow as criteria
from quillgraph.graphs.study.reuse import same_as_known
from quillgraph.graphs.study.state import Grounding, Study, latest_trials

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
LIGHTHOUSE = (SCRIPTS / "lighthouse.txt").read_text(encoding="utf-8")
OTHER = WritingTask(
    request="Write a story about a storm at a lighthouse.", language="en", genre="story"
)
NOW = "2026-01-01T00:00:00+00:00"
MARK = "Criteria that served other requests"


class Heard(ScriptedChat):
    """The lighthouse study, with all prompts kept."""

    prompts: list[tuple[str, str]]

    async def _complete(self, request: ChatRequest) -> Any:
        prompt = "\n".join(turn.content for turn in request.messages)
        self.prompts.append((request.messages[0].content, prompt))
        return await super()._complete(request)


def heard() -> Heard:
    return Heard(path=SCRIPTS / "lighthouse.yaml", prompts=[])


def criterion(name: str, **fields: Any) -> Criterion:
    defaults: dict[str, Any] = {
        "id": name, "description": "The text is like that.", "kind": "soft",
        "tier": "essential", "weight": 1.0, "levels": {}, "category_id": "k1", "evidence": ("i1",),
    }  # fmt: skip
    return Criterion(name=name, **{**defaults, **fields})


def in_process() -> Library:
    return Library(InMemoryStore(), LexicalEmbeddings())


async def kept(library: Library, *names: str) -> None:
    await library.keep([Passed(criterion(name), None) for name in names], OTHER, NOW)


async def studied(
    library: Library | None, model: ScriptedChat | None = None, **options: Any
) -> Grounding:
    study = cast(
        Study, model or heard(), embeddings=LexicalEmbeddings(), seed=7, library=library, **options
    )
    start: Any = {"task": writing_task(LIGHTHOUSE)}
    return typing.cast("Grounding", await criteria.build().compile().ainvoke(start, context=study))


async def test_suggestions_are_shown_to_coders_and_criteria_writers_and_to_nobody_else() -> None:
    library, model = in_process(), heard()
    await kept(library, "The storm stays outside")
    state = await studied(library, model)
    systems = {system[:40] for system, prompt in model.prompts if MARK in prompt}
    assert systems == {
        "You are a coder in a grounded-theory stu",
        "You write one grading criterion for text",
        "You write one grading criterion about a ",
    }
    assert all(
        "- The storm stays outside: The text is like that." in prompt
        for _, prompt in model.prompts if MARK in prompt
    )  # fmt: skip
    stats = state["criteria_set"].stats["library"]
    assert stats["version"].startswith("1-")
    assert len(stats["suggested"]) == 1
    assert stats["copied"] == []


async def test_a_model_that_chooses_is_shown_none_and_its_criteria_are_kept_all_the_same(
    choosing_chat: Any,
) -> None:
    library, prompts = in_process(), []
    await kept(library, "The storm stays outside")
    inner = choosing_chat(seed=3)

    class Choosing(ScriptedChat):
        async def _complete(self, request: ChatRequest) -> Any:
            prompts.append("\n".join(turn.content for turn in request.messages))
            return await inner._complete(request)

    state = await studied(library, Choosing(reply=lambda _: "", items_per_call=1))
    assert prompts
    assert not any(MARK in prompt for prompt in prompts)
    stats = state["criteria_set"].stats["library"]
    assert len(stats["suggested"]) == 1
    soft = [each.id for each in judged(state["criteria_set"].criteria)]
    assert set(stats["ids"]) == set(soft) - set(state["spared"])
    assert len(await library.criteria()) == 1 + len(set(stats["ids"].values()))


async def test_without_a_library_nothing_is_different() -> None:
    plain, beside = heard(), heard()
    without = await studied(None, plain)
    empty = await studied(in_process(), beside)
    assert "library" not in without["criteria_set"].stats
    assert empty["criteria_set"].stats["library"]["version"] == "0"
    assert sorted(plain.prompts) == sorted(beside.prompts)
    assert without["criteria_set"].sha256 == empty["criteria_set"].sha256


async def test_the_same_request_twice_gives_the_same_set_and_is_kept_once() -> None:
    library = in_process()
    await kept(library, "The storm stays outside")
    one = await studied(library)
    size = len(await library.criteria())
    two = await studied(library)
    assert one["criteria_set"].sha256 == two["criteria_set"].sha256
    assert len(await library.criteria()) == size == 5
    assert two["kept"].ids == one["kept"].ids
    assert two["kept"].reused == ()
    assert all(each.uses == 1 for each in await library.criteria())


async def test_copies_of_a_library_lead_to_the_same_set_and_the_same_version(
    tmp_path: Path,
) -> None:
    results = []
    for name in ("a", "b"):
        async with Library.open(tmp_path / name, LexicalEmbeddings()) as library:
            await kept(library, "The storm stays outside", "A gull for company")
            done = (await studied(library))["criteria_set"]
            results.append((done.sha256, done.stats["library"]))
    assert results[0] == results[1]


async def test_what_the_drafts_scored_is_known_of_a_criterion_from_the_start() -> None:
    library = in_process()
    state = await studied(library)
    scores = trusted_scores(state["criteria"], latest_trials(state))
    for known in await library.criteria():
        (at,) = [at for at, each in state["kept"].ids.items() if each == known.id]
        assert (known.groups, len(scores[at])) == (1, 4)
        assert state["kept"].discrimination[at] == known.discrimination


async def test_another_request_that_comes_to_the_same_is_told_so() -> None:
    library = in_process()
    criteria_set = (await studied(library))["criteria_set"]
    soft = judged(criteria_set.criteria)
    await library.keep([Passed(each, None) for each in soft], OTHER.model_copy(
        update={"genre": criteria_set.genre, "language": criteria_set.language}), NOW)  # fmt: skip
    again = await studied(library)
    assert set(again["kept"].reused) == {each.id for each in soft}
    texts = [memo.text for memo in again["memos"] if memo.stage == "library"]
    assert texts == ["4 of 4 criteria were known from other requests"]


async def test_a_library_that_cannot_be_written_costs_the_study_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "BUSY_S", 0.1)
    path = tmp_path / "l.sqlite"
    async with Library.open(path, LexicalEmbeddings()) as library:
        await library.ready()
        with store_file.alone(path, LIBRARY):
            state = await studied(library)
        (lost,) = [each for each in state["dropped"] if each.stage == "library"]
        assert "has held" in lost.reason
        assert state["criteria_set"].stats["library"]["ids"] == {}
        assert len(state["criteria_set"].criteria) == 6


# --- the same or not ---------------------------------------------------------------------------

FIRST, CLOSE = "The lamp is warm in the window", "The lamp is warm in the windows"


def comparing(*answers: tuple[str, bool]) -> tuple[Role, list[str]]:
    prompts: list[str] = []

    def reply(request: ChatRequest) -> str:
        prompts.append(request.messages[-1].content)
        return json.dumps({"items": [{"pair": pair, "same": same} for pair, same in answers]})

    return Role("comparator", ScriptedChat(reply=reply, items_per_call=8)), prompts


@pytest.mark.parametrize(("answers", "is_same"), [([("p1", True)], True), ([("p1", False)], False)])
async def test_criteria_that_lie_near_are_one_if_the_comparator_says_so(
    answers: Sequence[tuple[str, bool]], is_same: bool
) -> None:
    library, (role, prompts) = in_process(), comparing(*answers)
    await kept(library, FIRST)
    (known,) = await library.criteria()
    same, dropped = await same_as_known([criterion(CLOSE)], OTHER, library, role)
    assert same == ({CLOSE: known.id} if is_same else {})
    assert dropped == ()
    assert f'p1: "{CLOSE}" (The text is like that.) / "{FIRST}"' in prompts[0]


async def test_what_is_named_alike_needs_no_question_and_what_lies_far_gets_none() -> None:
    library, (role, prompts) = in_process(), comparing()
    await kept(library, FIRST)
    (known,) = await library.criteria()
    named = criterion(FIRST.upper())
    far = criterion("Nobody speaks", description="There is no dialogue at all.")
    same, _ = await same_as_known([named, far], OTHER, library, role)
    assert (same, prompts) == ({FIRST.upper(): known.id}, [])


async def test_an_answer_that_cannot_be_read_keeps_them_apart_and_is_told() -> None:
    library = in_process()
    await kept(library, FIRST)
    role = Role("comparator", ScriptedChat(reply=lambda _: "I would say so.", items_per_call=8))
    same, dropped = await same_as_known([criterion(CLOSE)], OTHER, library, role)
    assert same == {}
    assert [(each.stage, each.agent) for each in dropped] == [("library", "comparator")]


# --- weights by contrast -----------------------------------------------------------------------


async def test_contrast_is_frozen_into_the_weights_and_the_hash() -> None:
    plain, library = await studied(None), in_process()
    before = plain["criteria_set"]
    # the library has seen texts that the first criterion told apart and the others hardly
    first, *others = judged(before.criteria)
    elsewhere = OTHER.model_copy(update={"genre": before.genre, "language": before.language})
    seen = [Passed(first, None, (1, 10)), *(Passed(each, None, (5, 6)) for each in others)]
    await library.keep(seen, elsewhere, NOW)
    state = await studied(library, contrast=True)
    after = state["criteria_set"]
    assert after.sha256 != before.sha256
    assert after.criteria == state["criteria"]
    assert after.criteria == contrasted(before.criteria, after.stats["contrast"]["discrimination"])
    weights = {each.id: each.weight for each in after.criteria}
    assert weights[first.id] > first.weight
    assert all(weights[each.id] < each.weight for each in others)
    assert sum(weights.values()) == pytest.approx(sum(each.weight for each in before.criteria))


async def test_contrast_without_a_library_goes_by_the_drafts_and_without_drafts_by_nothing(
    choosing_chat: Any,
) -> None:
    plain, sharp = await studied(None), await studied(None, contrast=True)
    # all four criteria spread the drafts alike in this study, so nothing shifts
    contrast = sharp["criteria_set"].stats["contrast"]
    measures = contrast["discrimination"]
    assert contrast["silent"] == {}
    assert len(measures) == 4
    assert len({round(each, 9) for each in measures.values()}) == 1
    assert [c.weight for c in sharp["criteria_set"].criteria] == pytest.approx(
        [c.weight for c in plain["criteria_set"].criteria]
    )
    assert "contrast" not in plain["criteria_set"].stats
    blind = await studied(None, choosing_chat(seed=3), contrast=True, drafts=0)
    assert blind["criteria_set"].stats["contrast"] == {"discrimination": {}, "silent": {}}
