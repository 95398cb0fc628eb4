"""Sampling alone: who writes, who reads, and what the reader is told."""

import json
import typing
from collections.abc import Callable
from typing import Any

from quillgraph.agents.domain import WritingTask
from quillgraph.agents.grounded_theory.sampler import PERSONAS
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import theoretical_sampling as sampling
from quillgraph.graphs.study.state import Study

TASK = WritingTask(request="A story of the sea.", language="en")

NOTES = [
    {"sentence": "s1", "note": "the first line works"},
    {"sentence": "s2", "note": "the second line fails"},
]


class House:
    """Plays sampler and observer; keeps the requests."""

    def __init__(self, text: Callable[[ChatRequest], str], notes: Any = NOTES) -> None:
        self.text, self.notes = text, notes
        self.writings: list[ChatRequest] = []
        self.readings: list[ChatRequest] = []

    def __call__(self, request: ChatRequest) -> str:
        if request.json_schema is None:
            self.writings.append(request)
            return self.text(request)
        self.readings.append(request)
        return json.dumps({"items": self.notes})


def two_sentences(request: ChatRequest) -> str:
    return "The sea was calm.\n\n  It spoke at night!  "


async def sampled(house: House, drafts: int, **options: Any) -> dict[str, Any]:
    study = cast(
        Study, ScriptedChat(reply=house), embeddings=LexicalEmbeddings(), drafts=drafts, **options
    )
    start: Any = {"task": TASK}
    graph = sampling.build().compile()
    return typing.cast("dict[str, Any]", await graph.ainvoke(start, context=study))


async def test_no_drafts_need_no_calls() -> None:
    house = House(two_sentences)
    # nothing was written, so there is no state either
    assert not await sampled(house, 0)
    assert house.writings == house.readings == []


async def test_personas_go_round_each_with_its_own_temperature_and_seed() -> None:
    house = House(two_sentences)
    state = await sampled(house, 6)
    assert [draft.id for draft in state["drafts"]] == [f"d{n}" for n in range(1, 7)]
    assert [draft.strength for draft in state["drafts"]] == [
        "strong",
        "weak",
        "strong",
        "weak",
        "strong",
        "weak",
    ]
    for number, request in enumerate(house.writings):
        persona = PERSONAS[number % 4]
        assert request.messages[0].content.startswith(persona.voice)
        assert request.temperature == persona.temperature
    assert len({request.seed for request in house.writings}) == 6


async def test_each_note_stands_on_words_of_its_draft() -> None:
    state = await sampled(House(two_sentences), 1)
    (draft,) = state["drafts"]
    assert draft.text == "The sea was calm.\n\n  It spoke at night!"
    assert [(i.id, i.doc_id, i.text, i.note) for i in state["incidents"]] == [
        ("d1.n1", "d1", "The sea was calm.", "the first line works"),
        ("d1.n2", "d1", "It spoke at night!", "the second line fails"),
    ]
    for incident in state["incidents"]:
        assert draft.text[slice(*incident.span)] == incident.text


async def test_of_two_notes_on_one_sentence_the_first_counts() -> None:
    twice = [NOTES[0], {"sentence": "s1", "note": "a second thought"}]
    state = await sampled(House(two_sentences, twice), 1)
    assert [(i.id, i.note) for i in state["incidents"]] == [("d1.n1", "the first line works")]


async def test_the_observer_is_not_told_who_wrote_a_draft() -> None:
    house = House(two_sentences)
    await sampled(house, 4)
    # equal drafts of four writers are one and the same question
    assert len({tuple(request.messages) for request in house.readings}) == 1
    seen = "\n".join(turn.content for turn in house.readings[0].messages)
    assert not any(persona.voice in seen for persona in PERSONAS)


async def test_a_draft_too_short_to_read_is_drawn_once_more_under_another_seed() -> None:
    def text(request: ChatRequest) -> str:
        # 18 characters, then 20
        return "The sea was calm. " if len(house.writings) == 1 else "The sea was so calm."

    house = House(text, [{"sentence": "s1", "note": "a calm line"}])
    state = await sampled(house, 1)
    assert [draft.text for draft in state["drafts"]] == ["The sea was so calm."]
    first, second = house.writings
    assert first.messages == second.messages
    assert first.seed != second.seed


async def test_a_draft_that_is_too_short_twice_is_dropped_and_not_read() -> None:
    house = House(lambda request: "Calm sea.")
    state = await sampled(house, 2)
    assert state["drafts"] == []
    assert house.readings == []
    assert [(d.agent, d.reason, d.text) for d in state["dropped"]] == [
        ("sampler", "too short twice", "0"),
        ("sampler", "too short twice", "1"),
    ]


async def test_drafts_are_as_long_as_the_study_says() -> None:
    house = House(lambda request: "wave " * 100, [{"sentence": "s1", "note": "a long wave"}])
    state = await sampled(house, 1, draft_tokens=50)
    assert house.writings[0].max_tokens == 50
    # a scripted token is four bytes; the last blank is stripped
    assert len(state["drafts"][0].text) == 4 * 50 - 1


async def test_a_note_on_a_sentence_that_is_not_there_is_dropped_and_counted() -> None:
    state = await sampled(House(two_sentences, [*NOTES[:1], {"sentence": "s7", "note": "no"}]), 1)
    assert [i.text for i in state["incidents"]] == ["The sea was calm."]
    assert [(d.stage, d.agent) for d in state["dropped"]] == [("observation", "observer")]


ENGLISH = (
    "The sea was calm and the keeper slept. Nobody knew how long the night would be, or whether "
    "the lamp would last until the morning."
)


CHINESE = (
    "海很平静，守塔人睡着了，谁也不知道这一夜会有多长。灯亮着。海鸥也睡着了，风停了。"
    "石阶上只有盐的味道。"
)


async def sampled_for(request: str, language: str, text: str) -> dict[str, Any]:
    house = House(lambda _: text, NOTES[:1])
    study = cast(Study, ScriptedChat(reply=house), embeddings=LexicalEmbeddings(), drafts=1)
    start: Any = {"task": WritingTask(request=request, language=language)}
    graph = sampling.build().compile()
    return typing.cast("dict[str, Any]", await graph.ainvoke(start, context=study))


async def test_a_draft_in_another_language_is_dropped_counted_and_not_read() -> None:
    state = await sampled_for("写一封家书。", "zh", ENGLISH)
    assert state["drafts"] == []
    assert state["incidents"] == []
    [lost] = state["dropped"]
    assert (lost.stage, lost.agent, lost.reason) == ("sampling", "sampler", "written in en")
    assert lost.text == ENGLISH.strip()


async def test_a_draft_in_the_language_that_was_asked_for_is_kept() -> None:
    # 45 Chinese characters say as much as 135 letters
    assert (await sampled_for("写一封家书。", "zh", CHINESE))["drafts"]
    assert (await sampled_for("Write a story in Chinese.", "en", CHINESE))["drafts"]
    assert not (await sampled_for("Write a story.", "en", CHINESE))["drafts"]


async def test_a_draft_too_short_to_tell_its_language_is_kept() -> None:
    assert (await sampled_for("写一封家书。", "zh", "The sea was calm." + " It spoke."))["drafts"]


async def test_a_draft_of_a_short_request_is_kept_in_any_language_of_its_script() -> None:
    # 11 letters name no language
    assert (await sampled_for("Ode to autumn", "sk", ENGLISH))["drafts"]
    assert (await sampled_for("Lis i sowa", "en", ENGLISH))["drafts"]
    assert not (await sampled_for("Ode to autumn", "en", CHINESE))["drafts"]
