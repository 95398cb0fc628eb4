"""Records of a comparison of policies: a text, its scores, who won."""

import operator

from pydantic import Field

from quillgraph.agents.domain import Value
from quillgraph.agents.judges import PairComparison
from quillgraph.agents.replies import NOTHING_ASIDE, Aside

TextKey = tuple[str, str, int]
"""Policy, prompt and number of a text."""


class WrittenText(Value):
    """A text of a policy for a prompt, or why there is none."""

    policy: str
    prompt: str
    number: int
    """Of the texts of this policy for this prompt."""
    text: str = ""
    prompt_tokens: int = 0
    """Of all calls that the text has cost."""
    completion_tokens: int = 0
    calls: int = 0
    aside: Aside = Field(default=NOTHING_ASIDE, exclude_if=operator.not_)
    """What the reply held beside the text, such as thinking."""
    is_cut: bool = False
    """Whether it ended at the longest that it may be."""
    failure: str | None = None
    """Why there is no text; it is then in no measure, and counted."""

    @property
    def place(self) -> TextKey:
        """What it is known by."""
        return self.policy, self.prompt, self.number

    @property
    def tokens(self) -> int:
        """What it has cost."""
        return self.prompt_tokens + self.completion_tokens


class CriterionScore(Value):
    """What the judge said on one criterion."""

    criterion: str
    """Its name."""
    score: float
    reason: str = ""


class ScoredText(Value):
    """What was found of a text."""

    policy: str
    prompt: str
    number: int
    hard: float | None = None
    """Share of the demands that code checks which it keeps; None where there are none."""
    soft: float | None = None
    """Weighted mean of the judge's scores, from 0 to 1, and 0 for one that was turned away; None
    where a verdict is missing, which is not a zero."""
    gate: str | None = None
    """Why it was turned away before the judge."""
    missing: str | None = None
    """Why there is no `soft`."""
    scores: tuple[CriterionScore, ...] = ()

    @property
    def place(self) -> TextKey:
        """What it is known by."""
        return self.policy, self.prompt, self.number


class ComparedTexts(Value):
    """A text of a policy against one of the reference, for the same prompt, in both orders."""

    policy: str
    prompt: str
    number: int
    comparison: PairComparison
    """Left is the policy's text, right the reference's."""
    longer: int
    """Characters of the policy's text minus those of the other."""
    is_judged: bool = True
    """False where code turned one of them away, so that nobody had to be asked."""
    missing: str | None = None
    """Why an answer is missing."""

    @property
    def place(self) -> TextKey:
        """What it is known by."""
        return self.policy, self.prompt, self.number
