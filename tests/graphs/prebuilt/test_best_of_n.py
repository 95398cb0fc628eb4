"""Best-of-N: how many drafts are drawn, and which of them is taken."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from quillgraph.agents.domain import CriteriaSet
from quillgraph.agents.requests import writing_task
from quillgraph.backends.calls import Budget, CallRecord, Recorder, read_records
from quillgraph.backends.chat import ChatRequest, Completion
from quillgraph.backends.errors import BudgetReached, ConfigError, ReplyError
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.graphs.episodes.context import cast
from quillgraph.graphs.episodes.episode import WrittenEpisode
from quillgraph.graphs.prebuilt import best_of_n
from quillgraph.graphs.prebuilt.workshop import Workshop

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
TASK = writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8"))
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))

ODD = (1, 3, 5, 7, 9)

DRAFTS = (
    "A bell rang to port and the pilot cut the engine there.",
    "A bell rang to port." + "".join(f" The deck hummed and wheel number {n} shook." for n in ODD),
    "Fog lay on the water, and the pilot listened to the bell.",
    "Somebody rang a bell, and somebody else was on the deck.",
)
"""The second has 45 words: 5 and 5 times 8."""


class Drawing(ScriptedChat):
    """Writes one draft after the other, each again for an equal request, and judges each.

    Every prompt counts a token for each word and mark in it, and every reply 2.
    """

    drafts: tuple[str, ...] = DRAFTS
    scores: dict[str, int]
    seeds: dict[int, int]

    def __init__(self, **fields: Any) -> None:
        super().__init__(reply=self._answer, **fields)

    def _answer(self, request: ChatRequest) -> str:
        if request.json_schema is None:
            place = self.seeds.setdefault(request.seed or 0, len(self.seeds))
            return self.drafts[place % len(self.drafts)]
        text = "\n".join(turn.content for turn in request.messages)
        score = next(s for start, s in self.scores.items() if f"s1: {start}" in text)
        items = [
            {"criterion": f"q{n}", "score": score, "evidence": "s1", "reason": "So it is."}
            for n in (1, 2, 3)
        ]
        return json.dumps({"items": items}) if score else "I cannot say."

    async def _complete(self, request: ChatRequest) -> Completion:
        done = await super()._complete(request)
        read = sum(len(re.findall(r"\w+|[^\w\s]", turn.content)) for turn in request.messages)
        return done.model_copy(update={"prompt_tokens": read, "completion_tokens": 2})


SCORES = {"A bell rang to port and": 5, "A bell rang to port.": 9, "Fog": 7, "Somebody": 3}


def drawing(**fields: Any) -> Drawing:
    return Drawing(**{"scores": SCORES, "seeds": {}, **fields})


async def won(
    model: ScriptedChat, *handlers: Any, budget: Budget | None = None, **measures: int
) -> WrittenEpisode:
    start: Any = {"task": TASK, "criteria_set": CRITERIA, **measures}
    workshop = cast(Workshop, model, budget=budget)
    config: Any = {"callbacks": list(handlers)}
    done = await best_of_n.build().compile().ainvoke(start, config, context=workshop)
    episode: WrittenEpisode = done["episode"]
    return episode


async def test_so_many_drafts_are_drawn_and_the_best_that_breaks_nothing_is_taken() -> None:
    episode = await won(drawing(), n=4)
    assert [a.text for a in episode.attempts] == list(DRAFTS)
    assert [a.decision for a in episode.attempts] == ["drawn"] * 4
    assert [a.parent for a in episode.attempts] == [None] * 4
    # the second has the most points, and 45 words where 40 are allowed
    assert [a.judgement.violated for a in episode.attempts] == [set(), {"h1"}, set(), set()]
    assert (episode.best, episode.text) == (2, DRAFTS[2])
    assert (episode.stopped, episode.is_complete) == ("4 drafts were drawn", True)


async def test_among_drafts_that_all_break_a_demand_the_reward_decides() -> None:
    longer = f"Somebody rang. {DRAFTS[1]}"
    model = drawing(drafts=(longer, DRAFTS[1]), scores={"A bell": 4, "Somebody": 6})
    episode = await won(model, n=2)
    assert [a.judgement.violated for a in episode.attempts] == [{"h1"}, {"h1"}]
    assert episode.best == 0


async def test_a_draft_without_a_reward_comes_last() -> None:
    model = drawing(scores={**SCORES, "A bell rang to port and": 0})
    episode = await won(model, n=4)
    assert [a.reward.value is None for a in episode.attempts] == [True, False, False, False]
    assert episode.best == 2
    # the second draft breaks a demand, but somebody has read it
    model = drawing(drafts=DRAFTS[:2], scores={**SCORES, "A bell rang to port and": 0})
    assert (await won(model, n=2)).best == 1


def alike() -> Drawing:
    """Drafts that all cost the same."""
    return drawing(drafts=DRAFTS[:1])


async def price(n: int = 1) -> int:
    """Tokens of so many drafts with their judgements."""
    budget = Budget()
    await won(alike(), budget=budget, n=n)
    return budget.tokens


@pytest.mark.parametrize(
    ("times", "more", "drafts"),
    [(2, -1, 1), (2, 0, 2), (3, -1, 2), (3, 0, 3), (4, 0, 4), (5, -1, 4)],
)
async def test_as_many_drafts_are_drawn_as_equal_tokens_pay_for(
    times: int, more: int, drafts: int
) -> None:
    budget, each = Budget(), await price()
    assert await price(2) == 2 * each
    episode = await won(alike(), budget=budget, tokens=times * each + more)
    assert len(episode.attempts) == drafts
    assert budget.tokens == drafts * each
    assert episode.is_complete
    assert episode.stopped == f"{drafts} draft{'s were' if drafts > 1 else ' was'} drawn"


async def test_what_was_spent_before_does_not_count_as_the_price_of_a_draft() -> None:
    budget = Budget()
    budget.count(
        AIMessage(
            "so", usage_metadata={"input_tokens": 1, "output_tokens": 999, "total_tokens": 1000}
        )
    )
    assert len((await won(alike(), budget=budget, tokens=3 * await price())).attempts) == 3


async def test_a_judge_too_dear_for_two_drafts_reads_none_and_code_tells_them_apart() -> None:
    model, budget = drawing(drafts=(DRAFTS[1], *DRAFTS)), Budget()
    # the first has 45 words where 40 are allowed, as has the third
    alone = await won(model, budget=budget, tokens=1)
    assert (len(alone.attempts), budget.calls) == (1, 1)
    assert alone.stopped == (
        "1 draft was drawn and not judged: two with judgements take more than 1 tokens"
    )
    each = budget.tokens
    model, budget = drawing(drafts=(DRAFTS[1], *DRAFTS)), Budget()
    episode = await won(model, budget=budget, tokens=3 * each + 1)
    assert [a.judgement.violated for a in episode.attempts] == [{"h1"}, set(), {"h1"}]
    assert [a.judgement.verdicts for a in episode.attempts] == [()] * 3
    assert (episode.text, episode.is_complete) == (DRAFTS[0], True)
    assert (budget.calls, budget.tokens) == (3, 3 * each)


async def test_without_a_judge_or_a_check_there_is_nothing_to_choose_by() -> None:
    unchecked = [c for c in CRITERIA.criteria if c.check is None]
    soft = CriteriaSet.model_validate({**dict(CRITERIA), "criteria": unchecked, "sha256": ""})
    budget = Budget()
    # two judged drafts, less the four replies of 2 tokens that nobody can foresee, less one
    start: Any = {"task": TASK, "criteria_set": soft, "tokens": 2 * await price() - 9}
    workshop = cast(Workshop, alike(), budget=budget)
    done = await best_of_n.build().compile().ainvoke(start, context=workshop)
    assert (len(done["episode"].attempts), budget.calls) == (1, 1)
    start["tokens"] += 1
    done = await best_of_n.build().compile().ainvoke(start, context=cast(Workshop, alike()))
    assert len(done["episode"].attempts[0].judgement.verdicts) == 3


async def test_drafts_are_drawn_under_seeds_of_their_own(tmp_path: Path) -> None:
    with Recorder(tmp_path / "calls.jsonl", "n") as recorder:
        await won(drawing(), recorder, n=3)
    records: list[CallRecord] = read_records(tmp_path / "calls.jsonl")
    assert len({r.options["seed"] for r in records if r.role == "writer"}) == 3
    # every draft is judged under the same two
    assert len({r.options["seed"] for r in records if r.role == "judge"}) == 2


@pytest.mark.parametrize("calls", range(1, 10))
async def test_a_budget_in_the_middle_leaves_the_best_of_what_was_drawn(calls: int) -> None:
    budget = Budget(max_calls=calls)
    episode = await won(drawing(), budget=budget, n=3)
    assert budget.calls == calls
    # 3 calls a draft
    assert episode.is_complete == (calls == 9)
    if calls < 9:
        assert f"the budget of {calls} calls is spent" in episode.stopped
        assert {d.text for d in episode.dropped} <= {"draft 0", "draft 1", "draft 2"}
    read = [a.reward.value is not None for a in episode.attempts]
    assert episode.attempts[episode.best].reward.value is not None or not any(read)


async def test_a_budget_that_pays_for_no_draft_is_an_error() -> None:
    with pytest.raises(BudgetReached):
        await won(drawing(), budget=Budget(max_calls=0), n=2)


async def test_a_draft_that_never_becomes_a_text_is_left_out_and_counted() -> None:
    # an assurance is asked for again under another seed, and is another assurance
    model = drawing(drafts=(DRAFTS[0], *["Certainly! Here is the story."] * 2, DRAFTS[2]))
    episode = await won(model, n=2)
    assert [a.text for a in episode.attempts] == [DRAFTS[0]]
    assert (episode.is_complete, episode.stopped) == (True, "1 draft was drawn")
    assert [(d.stage, d.agent, d.reason) for d in episode.dropped] == [("draft", "writer", "reply")]
    with pytest.raises(ReplyError):
        await won(drawing(drafts=("Certainly! Here is the story.",)), n=2)


async def test_tokens_that_nobody_counts_are_refused_rather_than_taken_for_free() -> None:
    class Free(Drawing):
        async def _complete(self, request: ChatRequest) -> Completion:
            done = await super()._complete(request)
            return done.model_copy(update={"prompt_tokens": 0, "completion_tokens": 0})

    with pytest.raises(ConfigError, match=r"counts no tokens.*give n, the number of drafts"):
        await won(Free(scores=SCORES, seeds={}), tokens=100_000)
    assert len((await won(Free(scores=SCORES, seeds={}), n=2)).attempts) == 2


@pytest.mark.parametrize(
    "measures", [{}, {"n": 2, "tokens": 100}, {"n": 0}, {"n": -3}, {"tokens": 0}], ids=str
)
async def test_it_must_be_said_how_many(measures: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected either n or tokens, of 1 or more, got n="):
        await won(drawing(), **measures)
