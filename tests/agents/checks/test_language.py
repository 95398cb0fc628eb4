"""The table of languages, and what each of ours brings."""

from typing import get_args

import pytest

from quillgraph.agents.checks.check import CHECKS, Check
from quillgraph.agents.checks.count import CountRange
from quillgraph.agents.checks.language import (
    LANGUAGES,
    foreign_language,
    is_known,
    language_for,
    language_in_script,
    languages_in,
    phrasing_of,
)
from quillgraph.agents.text.forms import Form
from quillgraph.agents.text.narration import Person

OURS = list(LANGUAGES.built_in)
EXAMPLES: list[tuple[dict[str, object], str, str, str, str]] = [
    (
        {"type": "word_count", "max": 400},
        "At most 400 words",
        "The text has at most 400 words.",
        "不超过400词",
        "全文不超过400词。",
    ),
    (
        {"type": "sentence_count", "min": 1, "max": 1},
        "1 sentence",
        "The text has exactly 1 sentences.",
        "1句话",
        "文章要求：1句话。",
    ),
    (
        {"type": "line_count", "min": 2, "max": 4},
        "2 to 4 lines",
        "The text has 2 to 4 lines.",
        "2到4行",
        "文章要求：2到4行。",
    ),
    (
        {"type": "must_include", "any_of": ["sea", "{x}"]},
        "Includes one of “sea”, “{x}”",
        "The text keeps to this demand: includes one of “sea”, “{x}”.",
        "包含“sea”, “{x}”之一",
        "文章要求：包含“sea”, “{x}”之一。",
    ),
    (
        {"type": "classical_verse", "lines": 4},
        "4 verses of equally many characters",
        "The text keeps to this demand: 4 verses of equally many characters.",
        "4句，字数相等",
        "文章要求：4句，字数相等。",
    ),
    (
        {"type": "language", "language": "xx"},
        "In xx",
        "The text keeps to this demand: in xx.",
        "用xx写",
        "文章要求：用xx写。",
    ),
    (
        {"type": "dialogue", "present": False},
        "No dialogue",
        "The text keeps to this demand: no dialogue.",
        "没有对话",
        "文章要求：没有对话。",
    ),
]


@pytest.mark.parametrize(("spec", "name", "description", "name_zh", "description_zh"), EXAMPLES)
def test_a_check_names_and_describes_itself_in_each_language(
    spec: dict[str, object], name: str, description: str, name_zh: str, description_zh: str
) -> None:
    check = Check.model_validate(spec)
    english, chinese = (language_for(code).wording for code in ("en", "zh"))
    assert (check.name_in(english), check.description_in(english)) == (name, description)
    assert (check.name_in(chinese), check.description_in(chinese)) == (name_zh, description_zh)


@pytest.mark.parametrize("code", OURS)
def test_a_language_of_ours_has_words_for_every_check(code: str) -> None:
    wording = language_for(code).wording
    counts = {kind for kind in CHECKS.built_in if issubclass(CHECKS.load(kind), CountRange)}
    assert wording.units.keys() == counts
    assert wording.forms.keys() == set(get_args(Form))
    assert wording.persons.keys() == set(get_args(Person))
    assert wording.languages.keys() == language_for("en").wording.languages.keys()


@pytest.mark.parametrize("code", OURS)
def test_the_table_names_a_language_by_its_own_code(code: str) -> None:
    assert language_for(code).code == language_for(code).wording.code == code


@pytest.mark.parametrize("kind", CHECKS.built_in)
def test_the_table_names_a_check_by_its_own_type(kind: str) -> None:
    assert CHECKS.load(kind).model_fields["type"].default == kind


def test_english_stands_in_for_a_language_without_rules() -> None:
    assert language_for("fr") is language_for("en")
    assert phrasing_of("fr") is phrasing_of("en")
    # but Japanese, which no blanks part either, is cut as Chinese is
    assert phrasing_of("ja") is phrasing_of("zh")


def test_ours_read_every_text_whatever_its_language() -> None:
    assert [each.code for each in languages_in("Bonjour", "fr")] == ["en", "zh"]


@pytest.mark.parametrize(
    ("code", "by_characters", "reader"),
    [("en", True, "zh"), ("zh", False, "en"), ("fr", False, "en"), ("ja", True, "zh")],
)
def test_a_passage_in_another_script_is_read_in_the_language_of_that_script(
    code: str, by_characters: bool, reader: str
) -> None:
    assert language_in_script(code, by_characters=by_characters).code == reader


def test_a_language_may_be_asked_for_that_has_a_name_though_no_rules() -> None:
    assert is_known("fr")
    assert not is_known("vo")


SPANISH = (
    "La niebla entró sobre el puerto antes del amanecer, y el viejo barquero se quedó sentado con "
    "su pipa, esperando a un pasajero que había prometido venir."
)


@pytest.mark.parametrize(
    "request_text",
    [
        "Translate this story to Spanish, keeping the tone warm and simple, for my grandmother.",
        "Translate into Spanish the following paragraph about the old ferryman and his passenger.",
        "Write a dialogue of a grandmother who speaks only Spanish and her grandson at sea.",
        "Compose a Spanish motto and a Spanish dedication for our new library building, please.",
    ],
)
def test_a_request_that_speaks_of_words_in_a_language_allows_it(request_text: str) -> None:
    assert foreign_language(SPANISH, request_text, language="en") is None


def test_a_request_that_speaks_of_a_people_allows_no_other_language() -> None:
    request = "Write a story about a Spanish baker who wins the lottery and loses all her friends."

    assert foreign_language(SPANISH, request, language="en") == "es"


def test_an_english_text_with_spanish_speech_is_english() -> None:
    text = (
        "“¿Quién eres?” asked the ferryman. “Nadie,” she said. “¿Y tú?” “Nadie tampoco.” They sat "
        "a while. “Mañana,” he said, “vendrá el otro.” “Siempre mañana,” she said."
    )
    request = "Write a short story about an old ferryman who waits at the harbour for a passenger."

    assert foreign_language(text, request, language="en") is None


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "hi",
            "भोर से पहले कोहरा बंदरगाह पर छा गया, "
            "और बूढ़ा मल्लाह अपने पाइप के साथ बैठा "
            "उस यात्री की प्रतीक्षा करता रहा जिसने आने का वादा किया था।",
        ),
        (
            "th",
            "หมอกเข้ามาในท่าเรือก่อนรุ่งสาง "
            "และคนแจวเรือชรานั่งสูบไปป์รอผู้โดยสารที่สัญญาว่าจะมาเมื่อยี่สิบปีก่อน",
        ),
    ],
)  # fmt: skip
def test_vowel_signs_count_toward_the_length_by_which_a_language_is_clear(
    code: str, text: str
) -> None:
    request = "Write a short story about an old ferryman who waits at the harbour for a passenger."

    assert foreign_language(text, request, language="en") == code
