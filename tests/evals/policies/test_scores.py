"""What a text is worth, and which of two wins."""

import json
import re
from collections.abc import Callable

import pytest

from quillgraph.agents.judges import PromptedJudge, PromptedPairJudge
from quillgraph.agents.role import Role
from quillgraph.backends.chat import ChatRequest
from quillgraph.backends.errors import BudgetReached, ServerFailed
from quillgraph.backends.scripted import ScriptedChat
from quillgraph.evals.data.prompts import prompts_of
from quillgraph.evals.data.records import HumanCriterion, RubricRequest
from quillgraph.evals.policies.records import CriterionScore, WrittenText
from quillgraph.evals.policies.scores import UNREAD, compare_texts, score_text

REQUEST = RubricRequest(
    id="sea",
    request="Write of the sea in 5 to 9 words.",
    criteria=(
        HumanCriterion(name="Image", description="One clear image."),
        HumanCriterion(name="Sound", description="It can be heard."),
    ),
)
((PROMPT,), _) = prompts_of([REQUEST], None)
ASKED = re.compile(r"^(q\d): (\w+)", re.MULTILINE)
SHORT, GOOD = "Grey sea.", "Grey sea, cold as old iron."


def written(text: str, policy: str = "B") -> WrittenText:
    return WrittenText(policy=policy, prompt="sea", number=0, text=text)


def judge(scores: dict[str, int]) -> PromptedJudge:
    """Scores by name; which id a name has differs from vote to vote."""

    def reply(request: ChatRequest) -> str:
        prompt = "\n".join(turn.content for turn in request.messages)
        ids = {name: each for each, name in ASKED.findall(prompt)}
        items = [
            {"criterion": ids[name], "score": score, "evidence": "s1", "reason": "so"}
            for name, score in scores.items()
        ]
        return json.dumps({"items": items})

    return PromptedJudge((Role("judge", ScriptedChat(reply=reply)),), samples=2)


def pair_judge(better: Callable[[str], str]) -> PromptedPairJudge:
    def reply(request: ChatRequest) -> str:
        return json.dumps({"better": better(request.messages[-1].content)})

    return PromptedPairJudge(Role("judge", ScriptedChat(reply=reply)))


def nobody(request: ChatRequest) -> str:
    raise AssertionError("nobody has to be asked")


async def test_scores_weigh_together_and_demands_are_counted_by_code() -> None:
    score = await score_text(written(SHORT), PROMPT, judge({"Image": 10, "Sound": 4}))
    assert score.hard == 0.0  # two words
    assert score.soft == pytest.approx((1 + 1 / 3) / 2)  # (10 - 1) / 9 and (4 - 1) / 9
    assert score.scores == (
        CriterionScore(criterion="Image", score=10, reason="so"),
        CriterionScore(criterion="Sound", score=4, reason="so"),
    )
    passed = await score_text(written(GOOD), PROMPT, judge({"Image": 1, "Sound": 1}))
    assert (passed.hard, passed.soft) == (1.0, 0.0)


async def test_a_criterion_without_a_verdict_leaves_no_score_and_no_zero() -> None:
    score = await score_text(written(GOOD), PROMPT, judge({"Image": 10}))
    assert score.soft is None
    assert score.missing
    assert score.hard == 1.0


async def test_a_text_that_is_none_is_worth_nothing_and_shown_to_nobody() -> None:
    chat = ScriptedChat(reply=nobody)
    score = await score_text(written("..."), PROMPT, PromptedJudge((Role("judge", chat),)))
    assert (score.gate, score.soft, score.missing) == ("no letters in it", 0.0, None)
    role = PromptedPairJudge(Role("judge", chat))
    for left, right, winner in (
        ("...", GOOD, "right"), (GOOD, "...", "left"), ("...", "", "tie"), (GOOD, GOOD, "tie"),
    ):  # fmt: skip
        comparison = await compare_texts(written(left), written(right, "A"), PROMPT, role)
        assert (comparison.comparison.winner, comparison.is_judged) == (winner, False)


async def test_a_judge_that_breaks_is_an_exclusion_but_a_spent_budget_ends_the_run() -> None:
    def broken(request: ChatRequest) -> str:
        raise ServerFailed("the server broke")

    def spent(request: ChatRequest) -> str:
        raise BudgetReached("spent")

    role = Role("judge", ScriptedChat(reply=broken))
    score = await score_text(written(GOOD), PROMPT, PromptedJudge((role,)))
    assert (score.soft, score.missing) == (None, "ServerFailed: the server broke")
    comparison = await compare_texts(
        written(GOOD), written("Other.", "A"), PROMPT, PromptedPairJudge(role)
    )
    assert comparison.missing == "ServerFailed: the server broke"
    poor = Role("judge", ScriptedChat(reply=spent))
    with pytest.raises(BudgetReached):
        await score_text(written(GOOD), PROMPT, PromptedJudge((poor,)))


async def test_the_better_text_wins_in_both_orders() -> None:
    def better(prompt: str) -> str:
        return "first" if prompt.index(GOOD) < prompt.index("Water, a lot of it") else "second"

    pair = written(GOOD), written("Water, a lot of it, everywhere.", "A")
    score = await compare_texts(*pair, PROMPT, pair_judge(better))
    assert (score.comparison.winner, score.is_judged) == ("left", True)
    assert score.longer == len(GOOD) - len("Water, a lot of it, everywhere.")
    biased = await compare_texts(*pair, PROMPT, pair_judge(lambda _: "first"))
    assert (biased.comparison.winner, biased.comparison.is_consistent) == ("tie", False)


async def test_an_answer_that_cannot_be_read_is_no_tie() -> None:
    pair = written(GOOD), written("Water, a lot of it, everywhere.", "A")
    score = await compare_texts(*pair, PROMPT, pair_judge(lambda _: "neither"))
    assert (score.comparison.winner, score.missing) == (None, UNREAD)
