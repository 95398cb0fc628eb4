"""What a comparison of policies has made so far: texts, their scores, who won."""

from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from quillgraph.agents.domain import Value
from quillgraph.agents.preferring import Comparison
from quillgraph.backends.errors import InputError, StorageError

Place = tuple[str, str, int]
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
    is_cut: bool = False
    """Whether it ended at the longest that it may be."""
    failure: str | None = None
    """Why there is no text; it is then in no measure, and counted."""

    @property
    def place(self) -> Place:
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
    def place(self) -> Place:
        """What it is known by."""
        return self.policy, self.prompt, self.number


class ComparedTexts(Value):
    """A text of a policy against one of the reference, for the same prompt, in both orders."""

    policy: str
    prompt: str
    number: int
    comparison: Comparison
    """Left is the policy's text, right the reference's."""
    longer: int
    """Characters of the policy's text minus those of the other."""
    is_judged: bool = True
    """False where code turned one of them away, so that nobody had to be asked."""
    missing: str | None = None
    """Why an answer is missing."""

    @property
    def place(self) -> Place:
        """What it is known by."""
        return self.policy, self.prompt, self.number


T = TypeVar("T", WrittenText, ScoredText, ComparedTexts)


class Ledger(Generic[T]):
    """A file of JSON lines that a run adds to as it goes, and finds again after it was cut.

    Of several lines on one place the last counts: what failed may have been tried again.

    Args:
        file: The file; it need not be there.
        kind: What a line holds.

    Raises:
        InputError: If a line cannot be read.
        StorageError: If the file cannot be read.
    """

    def __init__(self, file: Path, kind: type[T]) -> None:
        self.file = file
        self.rows: dict[Place, T] = {}
        try:
            # not splitlines(): a text may hold line separators other than \n
            lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else []
        except OSError as error:
            raise StorageError(f"cannot read {file}: {error.strerror}") from error
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                row = kind.model_validate_json(line)
            except ValidationError as error:
                raise InputError(
                    f"{file}, line {number}: expected {kind.__name__} as JSON; delete the line to "
                    "have it made again"
                ) from error
            self.rows[row.place] = row

    def add(self, row: T) -> None:
        """Keep a row and write it down.

        Raises:
            StorageError: If the file cannot be written.
        """
        self.rows[row.place] = row
        try:
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(row.model_dump_json() + "\n")
        except OSError as error:
            raise StorageError(f"cannot write {self.file}: {error.strerror}") from error
