"""How a small model plays the roles."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings

from quillgraph.agents.domain import (
    LEVELS,
    Category,
    Code,
    Draft,
    Incident,
    Property,
    Relation,
    WritingTask,
)
from quillgraph.agents.lenses.anchors import clauses, dimension_of, worded_levels
from quillgraph.agents.lenses.choice import (
    CUED,
    GUESSED,
    MOST_EVIDENCE,
    MOST_PASSAGE,
    PARTS,
    choose_category,
    choose_coding,
    choose_core,
    choose_evidence,
    choose_notes,
)
from quillgraph.agents.lenses.lens import IDENTITIES
from quillgraph.agents.lenses.reading import demanded, readings_of
from quillgraph.agents.requests.segments import segment
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import ReplyError

EMBEDDINGS = LexicalEmbeddings()
STORY = WritingTask(request="Write a funny story about a lighthouse keeper.", language="en")
GEDICHT = WritingTask(request="写一首关于大海的诗，语言幽默", language="zh")


def offered(request: ChatRequest, field: str) -> list[str]:
    """The choices that a request leaves for a field."""
    schema: Any = request.json_schema
    offer = schema["properties"][field]
    offer = offer.get("items", offer)
    return list(offer.get("enum") or [offer["const"]])


def last_of_each(request: ChatRequest) -> dict[str, str]:
    schema: Any = request.json_schema
    return {field: offered(request, field)[-1] for field in schema["properties"]}


# --- a coding --------------------------------------------------------------------------------


async def test_a_coding_is_the_reading_that_was_chosen(
    incident: Callable[..., Incident], role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    chosen = await choose_coding(
        STORY,
        incident("i1", "a funny story about a lighthouse keeper"),
        "auditor",
        role_of({"reading": "Subject: lighthouse keeper"}, chooses=True),
        EMBEDDINGS,
    )
    assert chosen.label == "Subject: lighthouse keeper"
    assert chosen.gloss == "keeps “lighthouse keeper” at the centre"
    assert (chosen.lens, chosen.words) == ("subject", "lighthouse keeper")
    assert (chosen.evidence, chosen.coder, chosen.confidence) == (("i1",), "auditor", CUED)
    # what may be chosen is what was shown
    prompt = requests[0].messages[-1].content.split("Readings:\n")[1].splitlines()
    assert prompt == offered(requests[0], "reading")
    assert f"Read it as {IDENTITIES['auditor']}." in requests[0].messages[-1].content


async def test_a_reading_that_nothing_calls_for_is_less_sure(
    incident: Callable[..., Incident], role_of: Callable[..., Role]
) -> None:
    chosen = await choose_coding(
        STORY,
        incident("i1", "marmalade"),
        "reader",
        role_of(last_of_each, chooses=True),
        EMBEDDINGS,
    )
    assert (chosen.words, chosen.confidence) == ("marmalade", GUESSED)


async def test_a_prohibition_is_read_as_restraint_and_whole(
    incident: Callable[..., Incident], role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    chosen = await choose_coding(
        STORY,
        incident("i1", "Don’t mention the war."),
        "reader",
        role_of(last_of_each, chooses=True),
        EMBEDDINGS,
    )
    assert offered(requests[0], "reading") == ["Restraint: Don’t mention the war"]
    assert (chosen.lens, chosen.confidence) == ("restraint", CUED)


async def test_a_drafts_sentence_is_read_by_the_demands_of_the_request(
    incident: Callable[..., Incident], role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    sentence = "The turtle wore a velvet crown."
    chosen = await choose_coding(
        STORY,
        incident("d1.n1", sentence, note="Here the text makes “turtle” funny."),
        "reader",
        role_of(last_of_each, chooses=True),
        EMBEDDINGS,
    )
    # what the draft made up is no demand: every reading is turned on words of the request
    for reading in offered(requests[0], "reading"):
        assert reading.split(": ")[1] in STORY.request
    assert chosen.evidence == ("d1.n1",)
    assert chosen.confidence == GUESSED


async def test_what_a_draft_shows_is_less_sure_even_where_the_request_calls_for_it(
    incident: Callable[..., Incident], role_of: Callable[..., Role]
) -> None:
    role = role_of({"reading": "Subject: lighthouse keeper"}, chooses=True)
    note = incident("d1.n1", "It was a funny story.")
    chosen = await choose_coding(STORY, note, "auditor", role, EMBEDDINGS)
    assert (chosen.lens, chosen.confidence) == ("subject", GUESSED)


async def test_a_long_passage_is_shown_in_part(
    incident: Callable[..., Incident], role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    text = "a funny story " + "about marmalade " * 60
    role = role_of(last_of_each, chooses=True)
    await choose_coding(STORY, incident("i1", text), "reader", role, EMBEDDINGS)
    passage = requests[0].messages[-1].content.split("Passage: ")[1].split("\nRead it as")[0]
    assert passage == text[:MOST_PASSAGE].strip()


async def test_an_answer_outside_the_offer_is_asked_for_again(
    incident: Callable[..., Incident], role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    role = role_saying({"reading": "Truth"}, {"reading": "Humour: funny story"}, chooses=True)
    chosen = await choose_coding(STORY, incident("i1", "a funny story"), "reader", role, EMBEDDINGS)
    assert chosen.label == "Humour: funny story"
    assert "Input should be 'Humour: funny story'" in requests[1].messages[-1].content


async def test_a_second_answer_outside_the_offer_is_an_error(
    incident: Callable[..., Incident],
    category: Callable[..., Category],
    code: Callable[..., Code],
    role_saying: Callable[..., Role],
    requests: list[ChatRequest],
) -> None:
    role = role_saying({"reading": "Truth", "core": "k9", "leader": "c9"}, chooses=True)
    note, draft = incident("i1", "a funny story"), Draft(id="d1", text="Go on.", strength="weak")
    calls = [
        choose_coding(STORY, note, "reader", role, EMBEDDINGS),
        choose_notes(STORY, draft, [(0, 6)], role, EMBEDDINGS),
        choose_category(STORY, "k1", [code("c1")], role),
        choose_core(STORY, [category("k1")], [], role),
        choose_evidence(STORY, "It is so.", [note], "k1.0", role),
    ]
    for call in calls:
        with pytest.raises(ReplyError):
            await call
    # each was asked twice
    assert len(requests) == 2 * len(calls)


# --- notes -----------------------------------------------------------------------------------


def sentences(count: int) -> tuple[Draft, list[tuple[int, int]]]:
    one = "The keeper laughed. "
    spans = [(len(one) * n, len(one) * (n + 1) - 1) for n in range(count)]
    return Draft(id="d1", text=one * count, strength="weak"), spans


@pytest.mark.parametrize(
    ("count", "thirds"),
    [
        (1, [{1}]),
        (2, [{1}, {2}]),
        (3, [{1}, {2}, {3}]),
        # cuts at round(5/3) = 2 and round(10/3) = 3
        (5, [{1, 2}, {3}, {4, 5}]),
        # cuts at round(7/3) = 2 and round(14/3) = 5
        (7, [{1, 2}, {3, 4, 5}, {6, 7}]),
    ],
)
async def test_every_sentence_is_offered_in_its_third(
    role_of: Callable[..., Role],
    requests: list[ChatRequest],
    count: int,
    thirds: list[set[int]],
) -> None:
    draft, spans = sentences(count)
    notes = await choose_notes(STORY, draft, spans, role_of(last_of_each, chooses=True), EMBEDDINGS)
    assert len(notes) == len(thirds)
    for part, numbers in zip(PARTS, thirds, strict=False):
        offers = offered(requests[0], part)
        assert {int(offer.split(" ")[0][1:]) for offer in offers} == numbers
        assert all(offer.endswith((": works", ": fails")) for offer in offers)


@pytest.mark.parametrize(("verdict", "start"), [("works", "makes"), ("fails", "only announces")])
async def test_a_note_says_the_pole_that_was_chosen(
    role_of: Callable[..., Role],
    placed: Callable[..., Embeddings],
    verdict: str,
    start: str,
) -> None:
    draft, spans = sentences(1)

    def reply(request: ChatRequest) -> dict[str, str]:
        wanted = [o for o in offered(request, "opening") if "Humour" in o and verdict in o]
        return {"opening": wanted[0]}

    # all demands lie equally near, so the reader's, which is humour, comes first
    flat = placed(lambda _: (1.0, 0.0))
    [note] = await choose_notes(STORY, draft, spans, role_of(reply, chooses=True), flat)
    assert note.note is not None
    assert note.note.startswith(f"Here the text {start}")
    assert (note.id, note.span, note.text) == ("d1.n1", spans[0], "The keeper laughed.")


async def test_notes_on_a_chinese_draft_are_chinese(role_of: Callable[..., Role]) -> None:
    draft = Draft(id="d1", text="海笑了。", strength="weak")
    role = role_of(last_of_each, chooses=True)
    [note] = await choose_notes(GEDICHT, draft, [(0, 4)], role, EMBEDDINGS)
    assert note.note is not None
    assert note.note.startswith("这里")
    assert note.note.isascii() is False
    assert note.text == "海笑了。"


async def test_a_prohibition_that_all_three_read_alike_is_offered_once(
    role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    task = WritingTask(
        request="Do not mention the long war.\nNever name the drowned man.", language="en"
    )
    draft, spans = sentences(1)
    await choose_notes(task, draft, spans, role_of(last_of_each, chooses=True), EMBEDDINGS)
    # two demands, not one of them twice: each may work or fail
    readings = {offer.rsplit(":", 1)[0] for offer in offered(requests[0], "opening")}
    assert len(readings) == 2


# --- a category ------------------------------------------------------------------------------


async def test_the_chosen_leader_names_the_category_and_the_others_follow_by_confidence(
    code: Callable[..., Code], role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    codes = [
        code("c1", "Salt", confidence=4),
        code("c2", "Fog", confidence=2),
        code("c3", "Foam", confidence=4),
    ]
    slots = {"c1": "causal", "c2": "none", "c3": "causal"}
    role = role_saying({"leader": "c3", "slots": slots}, chooses=True)
    chosen = await choose_category(STORY, "k2", codes, role)
    assert (chosen.id, chosen.name, chosen.definition) == ("k2", "Foam", "It shows Foam.")
    assert chosen.code_ids == ("c1", "c2", "c3")
    assert [dimension.name for dimension in chosen.properties] == ["Foam", "Salt", "Fog"]
    # empty slots are left out, and "none" is no slot
    assert chosen.paradigm == {"causal": ("c1", "c3")}
    # a guess may not lead where there is a surer code
    assert offered(requests[0], "leader") == ["c1", "c3"]


async def test_codes_of_one_dimension_give_the_category_one_property(
    code: Callable[..., Code], role_of: Callable[..., Role]
) -> None:
    codes = [code("c1", "Salt", lens="mood", words="sea"), code("c2", lens="mood", words="sea")]
    role = role_of({"leader": "c1", "slots": {"c1": "none", "c2": "none"}}, chooses=True)
    chosen = await choose_category(STORY, "k1", codes, role)
    assert [dimension.name for dimension in chosen.properties] == ["Mood: sea"]
    assert chosen.paradigm == {}


# --- the core --------------------------------------------------------------------------------


def in_clauses(category: Category) -> Category:
    """The category as lenses word it: its poles are verb phrases."""
    worded = [p.model_copy(update={"is_clause": True}) for p in category.properties]
    return category.model_copy(update={"properties": tuple(worded)})


async def test_the_core_its_tiers_and_its_storyline_are_what_was_chosen(
    category: Callable[..., Category], role_saying: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    categories = [
        in_clauses(category("k1", properties=["salt"])),
        in_clauses(category("k2", properties=["fog"])),
        in_clauses(category("k3", properties=["foam"])),
    ]
    tiers = {"k1": "optional", "k2": "important", "k3": "essential"}
    role = role_saying({"core": "k3", "tiers": tiers}, chooses=True)
    relations = [Relation(src="k1", dst="k3", type="enables")]
    core, chosen, storyline = await choose_core(STORY, categories, relations, role)
    assert (core, chosen) == ("k3", tiers)
    # the first other category that is not optional stands beside the core
    assert storyline == "The text is full of foam, and is full of fog."
    assert "<relations>\nk1 enables k3\n</relations>" in requests[0].messages[-1].content


async def test_a_core_among_optional_ones_tells_the_story_alone(
    category: Callable[..., Category], role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    categories = [
        in_clauses(category("k1", properties=["salt"])),
        in_clauses(category("k2", properties=["fog"])),
    ]
    tiers = {"k1": "essential", "k2": "optional"}
    role = role_of({"core": "k1", "tiers": tiers}, chooses=True)
    assert (await choose_core(STORY, categories, [], role))[2] == "The text is full of salt."
    chinese = await choose_core(GEDICHT, categories, [], role)
    assert chinese[2] == "文本要is full of salt。"
    assert "<relations>\nnone\n</relations>" in requests[0].messages[-1].content


async def test_a_storyline_quotes_poles_in_free_words(
    category: Callable[..., Category], role_of: Callable[..., Role]
) -> None:
    free = category("k1", properties=["salt"])
    categories = [free, in_clauses(category("k2", properties=["fog"]))]
    role = role_of({"core": "k1", "tiers": {"k1": "essential", "k2": "important"}}, chooses=True)
    # each pole by its own kind
    storyline = "The text shows this: “is full of salt”, and is full of fog."
    assert (await choose_core(STORY, categories, [], role))[2] == storyline
    role = role_of({"core": "k1", "tiers": {"k1": "essential"}}, chooses=True)
    assert (await choose_core(GEDICHT, [free], [], role))[2] == "文本要表现为“is full of salt”。"


# --- evidence --------------------------------------------------------------------------------


async def test_evidence_is_chosen_among_the_incidents_and_cited_once(
    incident: Callable[..., Incident], role_of: Callable[..., Role], requests: list[ChatRequest]
) -> None:
    incidents = [incident(f"d1.n{n}", f"sentence {n} " + "x" * 200) for n in (1, 2, 3)]
    role = role_of({"evidence": ["d1.n3", "d1.n3"]}, chooses=True)
    cited = await choose_evidence(STORY, "The text is wet.", incidents, "k1.0", role)
    assert cited == ("d1.n3",)
    assert offered(requests[0], "evidence") == ["d1.n1", "d1.n2", "d1.n3"]
    schema: Any = requests[0].json_schema
    assert schema["properties"]["evidence"]["maxItems"] == MOST_EVIDENCE
    prompt = requests[0].messages[-1].content
    assert "Criterion: The text is wet." in prompt
    # 120 characters of an incident are shown: "sentence 1 " has 11 of them
    assert f"d1.n1: sentence 1 {'x' * 109}\n" in prompt


# --- dimensions and levels -------------------------------------------------------------------


def test_the_dimension_of_a_code_is_that_of_its_lens(code: Callable[..., Code]) -> None:
    dimension = dimension_of(code("c1", lens="humour", words="the sea"), "en")
    assert dimension.name == "Humour: the sea"
    assert dimension.high_pole == "makes “the sea” funny by surprise and timing"
    assert dimension.is_clause
    assert dimension_of(code("c1", lens="humour", words="海"), "zh").name == "幽默: 海"


def test_a_code_in_its_own_words_is_its_own_dimension(code: Callable[..., Code]) -> None:
    expected = Property(
        name="Salt", low_pole="shows nothing of this: It shows Salt.", high_pole="It shows Salt."
    )
    assert dimension_of(code("c1", "Salt"), "en") == expected
    assert dimension_of(code("c1", "Salt", lens="unheard-of", words="sea"), "en") == expected


@pytest.mark.parametrize(
    ("is_clause", "language", "low", "high"),
    [
        (True, "en", "drags", "flows"),
        (True, "zh", "drags", "flows"),
        (False, "en", "shows this: “drags”", "shows this: “flows”"),
        (False, "fr", "shows this: “drags”", "shows this: “flows”"),
        (False, "zh", "表现为“drags”", "表现为“flows”"),
    ],
)
def test_poles_in_free_words_are_quoted_and_those_of_lenses_are_not(
    is_clause: bool, language: str, low: str, high: str
) -> None:
    dimension = Property(name="-", low_pole="drags", high_pole="flows", is_clause=is_clause)
    assert clauses(dimension, language) == (low, high)
    assert worded_levels(dimension, language, pitfall=False)["1-2"] == (
        f"全文{low}。" if language == "zh" else f"Throughout, the text {low}."
    )


def test_a_property_has_free_words_unless_it_says_otherwise() -> None:
    assert not Property(name="-", low_pole="drags", high_pole="flows").is_clause


@pytest.mark.parametrize("is_clause", [False, True])
@pytest.mark.parametrize("pitfall", [False, True])
@pytest.mark.parametrize("language", ["en", "zh", "fr"])
def test_levels_run_from_the_low_pole_up(language: str, pitfall: bool, is_clause: bool) -> None:
    dimension = Property(name="-", low_pole="drags {x}", high_pole="flows {y}", is_clause=is_clause)
    levels = worded_levels(dimension, language, pitfall=pitfall)
    assert tuple(levels) == LEVELS
    assert len(set(levels.values())) == 5
    assert all("drags {x}" in levels[band] for band in LEVELS[:3])
    # the best level of a fault to avoid has none of it, and never asks for the high pole
    assert ("flows {y}" in levels["9-10"]) is not pitfall
    assert "drags {x}" not in levels["9-10"]
    assert any("\u4e00" <= c <= "\u9fff" for c in levels["1-2"]) == (language == "zh")


# --- demands ---------------------------------------------------------------------------------


async def test_what_the_request_calls_for_comes_before_what_it_might_mean() -> None:
    found = await demanded(STORY, "reader", EMBEDDINGS)
    assert [reading.lens.id for reading in found] == ["humour"]
    assert all(reading.cued for reading in found)


async def test_where_one_clause_calls_for_a_lens_the_others_demand_nothing() -> None:
    task = WritingTask(
        request="Tell of a keeper's lonely grief.\nHe polishes brass lamps every day.",
        language="en",
    )
    found = await demanded(task, "reader", EMBEDDINGS)
    assert [(reading.lens.id, reading.words) for reading in found] == [
        ("feeling", "keeper's lonely grief")
    ]


async def test_what_code_can_check_is_no_demand_beside_others() -> None:
    task = WritingTask(
        request="Tell of a lighthouse keeper who is lonely.\nWrite at most 300 words.",
        language="en",
    )
    for identity in IDENTITIES:
        words = {reading.words for reading in await demanded(task, identity, EMBEDDINGS)}
        assert words
        assert not any("300" in phrase for phrase in words)


async def test_a_request_of_nothing_but_checks_still_demands_something() -> None:
    task = WritingTask(request="Write at most 300 words.", language="en")
    assert await demanded(task, "auditor", EMBEDDINGS)


@settings(max_examples=25)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
async def test_any_request_that_is_not_blank_demands_something_of_every_reader(text: str) -> None:
    if not text.strip():
        return
    task = WritingTask(request=text, language="zh" if "的" in text else "en")
    for identity in IDENTITIES:
        assert await demanded(task, identity, EMBEDDINGS)


# --- what no reader would accept is not offered ----------------------------------------------


async def offers(request: str, language: str = "en") -> dict[str, set[str]]:
    """The readings of each incident of a request, of all three readers, by its text."""
    task = WritingTask(request=request, language=language)
    return {
        incident.text: {
            reading.dimension.name
            for identity in IDENTITIES
            for reading in await readings_of(task, incident, identity, EMBEDDINGS)
        }
        for incident in segment(task)
    }


async def test_a_toast_in_four_lines_has_no_dialogue_and_no_will_of_its_own() -> None:
    found = await offers("A wedding toast for two rival bakers, in four lines")
    toast = found["A wedding toast for two rival bakers,"]
    assert {"Form: wedding toast", "Audience: two rival bakers"} <= toast
    assert not any(name.startswith(("Dialogue", "Character: wedding")) for name in toast)


async def test_a_memo_without_jokes_is_neither_funny_nor_lived_through() -> None:
    found = await offers(
        "A short, dry office memo that announces a fire drill on Friday at 10 am, in three bullet "
        "points, no jokes."
    )
    [memo, ban] = found.values()
    assert {"Clarity: fire drill", "Form: dry office memo", "Room: short"} <= memo
    lenses_of_memo = {name.partition(":")[0] for name in memo}
    assert not lenses_of_memo & {"Humour", "First-hand knowledge", "Rhythm", "Imagery", "Meaning"}
    assert "Room: dry office memo" not in memo
    # what code counts is left out, the ban is left
    assert ban == {"Restraint: no jokes"}


async def test_a_ban_on_the_ending_keeps_its_place_and_what_stands_before_it_is_read_too() -> None:
    found = await offers(
        "写一封家书，不超过300字，第一人称，语气克制，写父亲在码头送别儿子去当兵，结尾不要抒情。",
        "zh",
    )
    [letter, manner, scene] = found.values()
    assert "体裁: 家书" in letter
    assert not any("第一人称" in name or "300字" in name for name in letter | manner)
    assert {"克制: 结尾不要抒情", "人物: 父亲"} <= scene
    assert "克制: 不要抒情" not in scene


async def test_a_place_that_a_comma_cut_off_is_given_back_to_the_ban() -> None:
    found = await offers("Write of the sea. In the last line, do not say what he feels.")
    whole = {"Restraint: In the last line, do not say what he feels"}
    assert [found[text] for text in found][1:] == [whole, whole]


async def test_a_demand_on_the_end_is_kept_or_not_and_not_spread_over_the_text() -> None:
    found = await offers("Write a tale of the sea.\nThe story should end with a question.")
    assert found["The story should end with a question."] == {
        "Start and end: The story should end with a question"
    }
