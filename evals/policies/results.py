"""Results of a comparison of policies, in files or in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quillgraph.evals.data.writingbench import response_row, scores_row
from quillgraph.evals.ledger import Ledger
from quillgraph.evals.policies.records import ComparedTexts, ScoredText, TextKey, WrittenText

TEXTS, SCORES, COMPARISONS = "texts.jsonl", "scores.jsonl", "comparisons.jsonl"
"""Files of results, one JSON line each; interrupted work resumes from them."""


@dataclass(frozen=True, slots=True)
class PolicyResults:
    """Results by policy, prompt and number of the text."""

    texts: Ledger[TextKey, WrittenText]
    scores: Ledger[TextKey, ScoredText]
    comparisons: Ledger[TextKey, ComparedTexts]

    @classmethod
    def within(cls, folder: Path | None = None) -> "PolicyResults":
        """Open or create the results in a folder; None keeps them in memory."""
        return cls(
            Ledger.within(folder, TEXTS, WrittenText, lambda row: row.place),
            Ledger.within(folder, SCORES, ScoredText, lambda row: row.place),
            Ledger.within(folder, COMPARISONS, ComparedTexts, lambda row: row.place),
        )

    def has_text(self, place: TextKey) -> bool:
        """Whether a policy has given this text."""
        row = self.texts.rows.get(place)
        return row is not None and row.failure is None

    @property
    def written(self) -> int:
        """How many texts there are."""
        return sum(row.failure is None for row in self.texts.rows.values())

    def of(self, policy: str) -> list[WrittenText]:
        """The texts of a policy, those that failed among them."""
        return [row for row in self.texts.rows.values() if row.policy == policy]

    def writingbench_files(self, places: Iterable[TextKey]) -> dict[str, list[dict[str, Any]]]:
        """Rows that the tools of WritingBench read.

        Prompts without any verdict have no row of scores: a mean of nothing ends its tools.

        Args:
            places: The texts that the comparison wanted, policy by policy and prompt by prompt.

        Returns:
            Name of a file to its rows: the responses and the scores of each policy.
        """
        by_policy: dict[str, list[TextKey]] = {}
        for place in places:
            by_policy.setdefault(place[0], []).append(place)
        files = {}
        for policy, own in by_policy.items():
            texts = [self.texts.rows[place] for place in own if self.has_text(place)]
            rows = [response_row(each.prompt, each.text) for each in texts]
            files[f"writingbench/responses/{policy}.jsonl"] = rows
            scores = [row for place in own if (row := self.scores.rows.get(place))]
            files[f"writingbench/scores/{policy}.jsonl"] = _scores(scores)
        return files


def _scores(scores: Sequence[ScoredText]) -> list[dict[str, Any]]:
    """A row for each prompt, with the scores of its texts on each criterion."""
    by_prompt: dict[str, dict[str, list[tuple[float, str]]]] = {}
    for text in scores:
        by_criterion = by_prompt.setdefault(text.prompt, {})
        for each in text.scores:
            by_criterion.setdefault(each.criterion, []).append((each.score, each.reason))
    return [scores_row(prompt, rows) for prompt, rows in by_prompt.items() if rows]
