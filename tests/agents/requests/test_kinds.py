"""Kinds of phrases, and circumstances of requests."""

import pytest

from quillgraph.agents.checks.language import PhraseKind
from quillgraph.agents.domain import WritingTask
from quillgraph.agents.requests.constraints import find_constraints
from quillgraph.agents.requests.kinds import Circumstance, circumstances, kind_of
from quillgraph.agents.requests.segments import segment

KINDS: list[tuple[PhraseKind, str]] = [
    ("ban", "no jokes|结尾不要抒情|do not end with a moral"),
    ("edge", "end with a question|结尾有反转|the last line"),
    ("fact", "Friday|300字|four lines|10 am|three bullet points|三个要点"),
    ("length", "short|简短"),
    ("form", "wedding toast|dry office memo|bedtime story|letter of farewell|家书|悬疑短篇小说"),
    ("person", "two rival bakers|six-year-old daughter|keeper of bees|woman|父亲|年轻的诗人|外婆"),
    ("manner", "dry|restrained tone|语气克制|语言朴实"),
    ("viewpoint", "second person|第一人称"),
    ("feeling", "afraid of the dark|lonely|思念"),
    ("action", "climbing the stairs|thank the nurses|码头送别儿子去当兵"),
    ("thing", "lighthouse|fire drill|winter|old letterbox|paper tower|harbour of Lisbon|大海|相信"),
]


@pytest.mark.parametrize(
    ("phrase", "kind"), [(phrase, kind) for kind, row in KINDS for phrase in row.split("|")]
)
def test_a_phrase_is_of_the_kind_of_its_head(phrase: str, kind: PhraseKind) -> None:
    assert kind_of(phrase) == kind


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("A wedding toast for two rival bakers, in four lines", {"verse", "brief", "silent"}),
        ("Write a poem about frost.", {"verse"}),
        ("Write a story in at most 50 words.", {"brief"}),
        ("Write a story in at most 500 words.", set()),
        ("写一个故事，不超过80字。", {"brief"}),
        ("A dry office memo, no jokes.", {"practical", "sober"}),
        ("写一封家书，不要搞笑。", {"silent", "sober"}),
        ("Write a story about a lighthouse. Do not use dialogue.", {"silent"}),
    ],
)
def test_circumstances_are_what_the_request_sets(
    request_text: str, expected: set[Circumstance]
) -> None:
    constraints = find_constraints(segment(WritingTask(request=request_text, language="en")))
    assert circumstances(request_text, constraints) == expected
