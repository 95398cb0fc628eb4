"""Scores texts of policies: by code, by a judge under criteria, and by comparison."""

from typing import Any

from quillgraph.agents.judgements import checked
from quillgraph.agents.judges import (
    Judge,
    PairComparison,
    PairJudge,
    PairPlace,
    plain,
    refusal,
    reward,
)
from quillgraph.backends.errors import BackendError, InputError, ReplyError
from quillgraph.evals.data.prompts import Prompt
from quillgraph.evals.policies.records import ComparedTexts, CriterionScore, ScoredText, WrittenText
from quillgraph.graphs.prebuilt import Submission, judge_text

UNREAD = "the judge could not be understood"


async def score_text(text: WrittenText, prompt: Prompt, judge: Judge) -> ScoredText:
    """Check a text by code, then judge it.

    The gate rejects what code recognizes as no text, with score 0 and without a judge, as
    everywhere in this package (`ALGORITHM.md` 6.3.5).

    Raises:
        BudgetReached: If the run has nothing left to spend.
    """
    criteria_set = prompt.criteria_set
    submission = Submission(task=prompt.task, criteria_set=criteria_set, text=text.text)
    place: dict[str, Any] = {
        "policy": text.policy,
        "prompt": text.prompt,
        "number": text.number,
    }
    try:
        judgement = await judge_text(submission, judge)
    except (BackendError, ReplyError, InputError) as error:
        return ScoredText(**place, hard=_kept(text.text, prompt), missing=_said(error))
    worth = reward(judgement, criteria_set, text.text)
    names = {each.id: each.name for each in criteria_set.criteria}
    unread = judgement.missing[0].reason if judgement.missing else None
    return ScoredText(
        **place,
        hard=_kept(text.text, prompt),
        soft=worth.soft,
        gate=judgement.gate,
        missing=unread if worth.soft is None else None,
        scores=tuple(
            CriterionScore(criterion=names[each.criterion_id], score=each.score, reason=each.reason)
            for each in judgement.verdicts
        ),
    )


async def compare_texts(
    text: WrittenText, reference: WrittenText, prompt: Prompt, judge: PairJudge
) -> ComparedTexts:
    """Compare a text with the reference's, in both orders.

    The judge is called only if code cannot decide. Equal texts are a tie. A text that the gate
    rejects loses to one that passes, since an empty phrase fools most judges (arXiv:2507.08794).

    Raises:
        BudgetReached: If the run has nothing left to spend.
    """
    texts = text.text, reference.text
    decided = _by_code(*texts, prompt)
    missing = None
    if decided is not None:
        comparison = decided
    else:
        try:
            comparison = await judge.compare(prompt.task, *texts)
        except (BackendError, ReplyError, InputError) as error:
            comparison, missing = PairComparison(forward=None, backward=None), _said(error)
    if comparison.winner is None:
        missing = missing or UNREAD
    return ComparedTexts(
        policy=text.policy,
        prompt=text.prompt,
        number=text.number,
        comparison=comparison,
        longer=len(texts[0]) - len(texts[1]),
        is_judged=decided is None,
        missing=missing,
    )


def _kept(text: str, prompt: Prompt) -> float | None:
    """Share of the hard criteria that a text meets."""
    checks = [each.check for each in checked(prompt.criteria_set.criteria) if each.check]
    if not checks:
        return None
    return sum(check.violation(text) is None for check in checks) / len(checks)


def _by_code(left: str, right: str, prompt: Prompt) -> PairComparison | None:
    left_is_none, right_is_none = (
        refusal(plain(text), prompt.task.request, prompt.criteria_set) is not None
        for text in (left, right)
    )
    if left == right or (left_is_none and right_is_none):
        return PairComparison(forward="tie", backward="tie")
    if not left_is_none and not right_is_none:
        return None
    forward: PairPlace = "second" if left_is_none else "first"
    return PairComparison(forward=forward, backward="first" if left_is_none else "second")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
