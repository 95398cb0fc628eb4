"""The writing of criteria alone: names, trials, and what is said of a set that is poor."""

import json
import re
import typing
from typing import Any

import pytest

from quillgraph.agents.domain import (
    LEVELS,
    Category,
    Code,
    Core,
    Draft,
    Incident,
    Property,
    WritingTask,
)
from quillgraph.agents.requests import find_constraints
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.study import criteria_writing
from quillgraph.graphs.study.state import Study

SEA, LENGTH = "A story of the sea.", "Use at most 300 words."

WRITTEN = {
    "S": ("Waves that are heard", "The text lets waves be heard under every scene."),
    "L": ("Light on water", "The text turns on how brightness changes over the harbour."),
    "no S": ("No silent shore", "The text avoids scenes that could happen inland."),
    "no L": ("Never a grey blur", "The text avoids naming colours where nothing is looked at."),
}
"""Name and description of each criterion: the qualities sound and light, and their lack."""

CATEGORY = Category(
    id="k1",
    name="The sea itself",
    definition="what is heard and seen of it",
    code_ids=("c1",),
    properties=(Property(name="sound", low_pole="nothing is heard", high_pole="it is heard"),),
)

CODE = Code(
    id="c1", label="Light on the water", gloss="how bright it is", evidence=("i1",),
    coder="reader", confidence=3,
)  # fmt: skip

DRAFTS = [
    Draft(id="d1", text="Waves hiss over bright stones.", strength="strong"),
    Draft(id="d2", text="The sea was very nice.", strength="weak"),
]

Scores = dict[str, tuple[int, int]]
"""Key of `WRITTEN` to the scores of the strong and the weak draft."""

FAIR: Scores = dict.fromkeys(WRITTEN, (9, 4))


class Writer:
    """Plays criteria writer and validator; keeps which names the writer was told are taken."""

    def __init__(self, scores: Scores, names: dict[str, str], probe: int) -> None:
        self.scores, self.names, self.probe = scores, names, probe
        self.taken: dict[str, str] = {}

    def __call__(self, request: ChatRequest) -> str:
        system, prompt = request.messages[0].content, request.messages[-1].content
        if system.startswith("You score"):
            key = next(key for key, (_, sentence) in WRITTEN.items() if f" {sentence}\n" in prompt)
            both = zip(DRAFTS, self.scores[key], strict=True)
            scores = (score for draft, score in both if f"<text>\n{draft.text}\n" in prompt)
            return json.dumps({"score": next(scores, self.probe)})
        quality = "S" if "Property: sound" in prompt else "L"
        key = f"no {quality}" if "about a fault" in system else quality
        self.taken.setdefault(
            key, re.findall(r"^Names already taken: (.*)$", prompt, re.MULTILINE)[-1]
        )
        name, description = WRITTEN[key]
        levels = {band: f"what a text of {band} does" for band in LEVELS}
        return json.dumps(
            {
                "name": self.names.get(key, name),
                "description": description,
                "evidence": ["i1"],
                "levels": levels,
            }
        )


async def written(
    *clauses: str,
    scores: Scores = FAIR,
    names: dict[str, str] | None = None,
    probe: int = 1,
) -> tuple[dict[str, Any], Writer]:
    incidents = [
        Incident(id=f"i{n}", source="request", doc_id="request", span=(0, len(words)), text=words)
        for n, words in enumerate(clauses, 1)
    ]
    start: Any = {
        "task": WritingTask(request=" ".join(clauses), language="en"),
        "constraints": find_constraints(incidents),
        "incidents": incidents,
        "drafts": DRAFTS,
        "codes": (CODE,),
        "categories": (CATEGORY,),
        "core": Core(category_id="k1", storyline="The sea takes and gives back."),
        "tiers": {"k1": "essential"},
    }
    writer = Writer(scores, names or {}, probe)
    study = cast(
        Study, ScriptedChat(reply=writer, items_per_call=8), embeddings=LexicalEmbeddings()
    )
    state = await criteria_writing.build().compile().ainvoke(start, context=study)
    return typing.cast("dict[str, Any]", state), writer


async def test_the_names_of_hard_criteria_are_taken_before_any_other_is_written() -> None:
    _, writer = await written(SEA, LENGTH)
    assert writer.taken == dict.fromkeys(WRITTEN, "At most 300 words")
    _, writer = await written(SEA)
    assert writer.taken == dict.fromkeys(WRITTEN, "none")


async def test_a_criterion_that_takes_a_hard_ones_name_all_the_same_is_told_apart() -> None:
    state, _ = await written(SEA, LENGTH, names={"S": "At most 300 Words"})
    assert [c.name for c in state["criteria"]][:3] == [
        "At most 300 words",
        "At most 300 Words (sound)",
        "Light on water",
    ]


async def test_fewer_than_five_criteria_are_told_of() -> None:
    state, _ = await written(SEA)
    assert len(state["criteria"]) == 4
    assert [(m.agent, m.text) for m in state["memos"]] == [
        ("plan", "the study gave no more than 4 criteria")
    ]
    # with the hard one there are five
    state, _ = await written(SEA, LENGTH)
    assert len(state["criteria"]) == 5
    assert state["memos"] == []


@pytest.mark.parametrize(
    ("won", "texts"),
    [
        # 3 / 4 is above .7, 2 / 4 below
        (("S", "no S", "L"), []),
        (("S", "no S"), ["strong drafts beat weak ones on 50% of the criteria only"]),
        ((), ["strong drafts beat weak ones on 0% of the criteria only"]),
    ],
)
async def test_criteria_on_which_strong_drafts_do_not_win_are_told_of_and_kept(
    won: tuple[str, ...], texts: list[str]
) -> None:
    scores = {key: (9, 4) if key in won else (4, 9) for key in WRITTEN}
    state, _ = await written(SEA, LENGTH, scores=scores)
    assert [m.text for m in state["memos"] if m.agent == "validator"] == texts
    assert len(state["criteria"]) == 5


@pytest.mark.parametrize(
    ("soft", "probe", "fault"),
    [
        # at the foot of the scale a degenerate text can lie no lower than the weakest draft
        ((9, 1), 1, None),
        ((9, 2), 2, "exploitable"),
        ((9, 9), 1, "flat"),
    ],
)
async def test_a_fault_that_no_draft_has_is_not_flat_and_the_lowest_score_fools_nobody(
    soft: tuple[int, int], probe: int, fault: str | None
) -> None:
    # all drafts are equally free of either fault
    scores: Scores = {"S": soft, "L": soft, "no S": (9, 9), "no L": (9, 9)}
    state, _ = await written(SEA, LENGTH, scores=scores, probe=probe)
    expected = {("k1.0", fault), ("k1.1", fault)} if fault else set()
    assert {(f.criterion_id, f.fault) for f in state["findings"]} == expected
