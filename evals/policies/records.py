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
    """Over all calls that produced the text."""
    completion_tokens: int = 0
    calls: int = 0
    aside: Aside = Field(default=NOTHING_ASIDE, exclude_if=operator.not_)
    """What the reply held beside the text, such as thinking."""
    is_cut: bool = False
    """Whether it was cut at the highest length allowed."""
    failure: str | None = None
    """Why there is no text. It is then excluded from all measures, and counted."""

    @property
    def place(self) -> TextKey:
        """Policy, prompt and number: identifies the row."""
        return self.policy, self.prompt, self.number

    @property
    def tokens(self) -> int:
        """Tokens of prompts and completions."""
        return self.prompt_tokens + self.completion_tokens


class CriterionScore(Value):
    """The judge's score on one criterion."""

    criterion: str
    """Its name."""
    score: float
    reason: str = ""


class ScoredText(Value):
    """The scores of a text."""

    policy: str
    prompt: str
    number: int
    hard: float | None = None
    """Share of the hard criteria that it meets; None if there are none."""
    soft: float | None = None
    """Weighted mean of the judge's scores, from 0 to 1; 0 for a text that the gate rejects; None,
    not 0, if a verdict is missing."""
    gate: str | None = None
    """Why the gate rejected it before the judge."""
    missing: str | None = None
    """Why there is no `soft`."""
    scores: tuple[CriterionScore, ...] = ()

    @property
    def place(self) -> TextKey:
        """Policy, prompt and number: identifies the row."""
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
    """False if code decided the comparison without the judge."""
    missing: str | None = None
    """Why an answer is missing."""

    @property
    def place(self) -> TextKey:
        """Policy, prompt and number: identifies the row."""
        return self.policy, self.prompt, self.number
