"""The judge: one verdict per criterion, each with the sentence that it rests on."""

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from statistics import median
from typing import Annotated, Any, Protocol

import numpy as np
from langchain_core.messages import BaseMessage
from pydantic import Field

from quillgraph.agents.domain import LEVELS, Criterion, Dropped, WritingTask
from quillgraph.agents.judgements import Missing, Verdict, band_of, judged
from quillgraph.agents.judges.expectation import expected_scores
from quillgraph.agents.prompt import render
from quillgraph.agents.reply import form, one_of, text, whole_number
from quillgraph.agents.role import Role, ask_each, side_by_side
from quillgraph.agents.text.sentences import sentence_spans
from quillgraph.backends.capabilities import capabilities_of
from quillgraph.backends.embeddings import LexicalEmbeddings
from quillgraph.backends.errors import InputError
from quillgraph.backends.messages import alternatives_of

MOST_TEXT_CHARS = 64_000
"""Twice the longest request."""

UNFOUNDED = 5.0
"""Highest score for a quality without a cited sentence (`ALGORITHM.md` 6.3.1)."""

SAMPLES = 2
"""Votes of a judge on each criterion (`ALGORITHM.md` 6.3.2)."""

MOST_REASON_CHARS = 240

MOST_ALTERNATIVES = 20
"""Tokens whose probabilities are requested at each position; all scores fit among them."""

MOST_ENUMERATED = 400
"""Most sentences whose ids the schema of a reply lists as an enum."""

MOST_CITABLE = 4
"""Sentences per criterion that a role which only chooses may cite from."""

NOTHING = "none"

_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a judge returns: verdicts, criteria without one, and the replies that were lost."""

    verdicts: tuple[Verdict, ...]
    missing: tuple[Missing, ...] = ()
    dropped: tuple[Dropped, ...] = ()


class Judge(Protocol):
    """Anything that scores a text: a prompted model, or a trained scorer in its place."""

    @property
    def name(self) -> str:
        """Name of this judge in judgements."""

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        """Give one verdict on each soft or pitfall criterion, or say that it is missing."""


@dataclass(frozen=True, slots=True)
class PromptedJudge:
    """Chat models that judge by the levels of each criterion.

    Every call begins with the text and ends with the criteria, so that an engine's prefix cache
    reads the text once. The seeds, and the order of the criteria in a call, do not depend on the
    text: two texts are judged under the same conditions.
    """

    roles: tuple[Role, ...]
    """One judge each; preferably of another model family than the writer (`ALGORITHM.md` 6.3.2)."""
    samples: int = SAMPLES
    """Votes of each judge. A single vote is sampled at temperature 0, and read as an expectation
    over the score tokens where the backend returns their log-probabilities."""
    criteria_per_call: int | None = None
    """1 for a call per criterion, k for calls of k in shuffled order; None for as many as the
    backend says its model can take in one call."""

    @property
    def name(self) -> str:
        """The names of the models."""
        models = (getattr(role.model, "model", type(role.model).__name__) for role in self.roles)
        return "+".join(map(str, models))

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        """Ask every role for its votes on every criterion, and take the medians.

        Raises:
            InputError: If the text is longer than `MOST_TEXT_CHARS`.
        """
        if len(text) > MOST_TEXT_CHARS:
            raise InputError(
                f"expected a text of at most {MOST_TEXT_CHARS:,} characters to judge, got "
                f"{len(text):,}; judge its chapters one by one"
            )
        exhibit, scored = Exhibit.of(text), judged(tuple(criteria))
        papers = await side_by_side(
            _vote(task, exhibit, chunk, role, sample, self.samples)
            for role in self.roles
            for sample in range(self.samples)
            for chunk in self._dealt(scored, role, sample)
        )
        return _counted(scored, exhibit, papers)

    def least_tokens(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> int:
        """Estimate the fewest tokens that judging takes: one for each word and mark in its prompts.

        Replies are left out. The cost of a text is known only once it is judged; this is for
        callers that must know before.
        """
        exhibit, scored = Exhibit.of(text), judged(tuple(criteria))
        prompts = (
            message.text
            for role in self.roles
            for sample in range(self.samples)
            for chunk in self._dealt(scored, role, sample)
            for message in _question(task, exhibit, _numbered(chunk), role)
        )
        return sum(len(_WORD_OR_MARK.findall(prompt)) for prompt in prompts)

    def _dealt(
        self, criteria: Sequence[Criterion], role: Role, sample: int
    ) -> list[list[Criterion]]:
        """Deal the criteria to calls, each sample in an order of its own."""
        size = self.criteria_per_call or role.items_per_call
        order = list(criteria)
        if size > 1:
            random.Random(role.seed_for(f"order/{sample}")).shuffle(order)
        return [order[start : start + size] for start in range(0, len(order), size)]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A text as the judge sees it: numbered sentences behind a fence it cannot close."""

    mark: str
    """Mark of the fence; it does not occur in the text."""
    sentences: dict[str, str]
    openers: frozenset[str]
    """Ids of the sentences that begin a paragraph or stanza, except the first."""

    @classmethod
    def of(cls, text: str) -> "Exhibit":
        """Number the sentences. Equal texts get equal fences, which the prefix cache needs."""
        marks = (hashlib.sha256(f"{n}/{text}".encode()).hexdigest()[:8] for n in count())
        mark = next(mark for mark in marks if mark not in text)
        spans = sentence_spans(text)
        gaps = (text[end:start] for (_, end), (start, _) in pairwise(spans))
        return cls(
            mark,
            sentences={f"s{n}": text[a:b] for n, (a, b) in enumerate(spans, 1)},
            openers=frozenset(f"s{n}" for n, gap in enumerate(gaps, 2) if gap.count("\n") > 1),
        )

    @property
    def lines(self) -> str:
        """One sentence per line, and a blank line where the text has one."""
        return "\n".join(
            f"{key}: {sentence}" if key not in self.openers else f"\n{key}: {sentence}"
            for key, sentence in self.sentences.items()
        )

    def citable(self, criteria: Sequence[Criterion], role: Role) -> list[str]:
        """Ids of the sentences that a role may cite on some criteria.

        A role that only chooses cites the first sentence for any criterion (LOG.md 2026-11-23), so
        it chooses among the sentences that share most words with each criterion.
        """
        keys = list(self.sentences)
        if not role.chooses or len(keys) <= MOST_CITABLE:
            return keys
        topics = [f"{criterion.name} {criterion.description}" for criterion in criteria]
        vectors = np.asarray(
            LexicalEmbeddings().embed_documents([*topics, *self.sentences.values()])
        )
        likeness = vectors[: len(topics)] @ vectors[len(topics) :].T
        nearest = {
            int(n) for row in np.argsort(-likeness, kind="stable") for n in row[:MOST_CITABLE]
        }
        return [keys[n] for n in sorted(nearest)]


@dataclass(frozen=True, slots=True)
class JudgeReply:
    """The vote of one reply on one criterion."""

    criterion_id: str
    score: float
    evidence: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Paper:
    """The outcome of one call: its votes, and the parts of it that were lost."""

    criterion_ids: frozenset[str]
    """Ids of the criteria that the call was about."""
    votes: tuple[JudgeReply, ...]
    dropped: tuple[Dropped, ...]


async def _vote(
    task: WritingTask,
    exhibit: Exhibit,
    criteria: Sequence[Criterion],
    role: Role,
    sample: int,
    samples: int,
) -> Paper:
    ids = _numbered(criteria)
    expects = samples == 1 and capabilities_of(role.model).top_logprobs
    answers = await ask_each(
        role,
        _question(task, exhibit, ids, role),
        _vote_form(ids, exhibit.citable(criteria, role), role),
        item=f"{'+'.join(criterion.name for criterion in criteria)}/{sample}",
        stage="judging",
        at_least=len(ids),
        at_most=len(ids),
        temperature=0.0 if samples == 1 else 0.7,
        max_tokens=(40 if role.chooses else 120) * len(ids),
        **({"top_logprobs": MOST_ALTERNATIVES} if expects else {}),
    )
    positions = (alternatives_of(answers.reply) if answers.reply else None) or ()
    means = expected_scores(positions)
    if len(means) != len(answers.items):
        # not every score could be located in the reply
        means = [None] * len(answers.items)
    # of two answers on one criterion the last counts
    last = {
        entry["criterion"]: (entry, mean)
        for entry, mean in zip(map(dict, answers.items), means, strict=True)
    }
    return Paper(
        criterion_ids=frozenset(criterion.id for criterion in criteria),
        votes=tuple(_cast(ids[key], entry, mean, exhibit) for key, (entry, mean) in last.items()),
        dropped=answers.dropped,
    )


def _numbered(criteria: Sequence[Criterion]) -> dict[str, Criterion]:
    return {f"q{number}": criterion for number, criterion in enumerate(criteria, 1)}


def _question(
    task: WritingTask, exhibit: Exhibit, ids: Mapping[str, Criterion], role: Role
) -> list[BaseMessage]:
    """The messages of one call to a judge."""
    return render(
        "judging",
        request=role.brief(task),
        mark=exhibit.mark,
        text=exhibit.lines,
        criteria="\n\n".join(f"{key}: {posed(criterion)}" for key, criterion in ids.items()),
    )


def _vote_form(ids: dict[str, Criterion], citable: Sequence[str], role: Role) -> Any:
    # some servers take only a few hundred enum values; an id beyond the text cites nothing
    sentence: Any = Annotated[str, Field(pattern=r"^(s[1-9][0-9]*|none)$")]
    if len(citable) <= MOST_ENUMERATED:
        sentence = one_of([*citable, NOTHING])
    # the score comes first: a judge that argues only afterwards is fooled less (arXiv:2607.05904)
    fields = {
        "criterion": one_of(ids),
        "score": whole_number(1, 10),
        "evidence": sentence,
    }
    if not role.chooses:
        fields["reason"] = text(2, MOST_REASON_CHARS)
    return form("Vote", **fields)


def posed(criterion: Criterion) -> str:
    """A criterion in a prompt: its name, its description and its levels."""
    levels = "\n".join(f"{band}: {criterion.levels[band]}" for band in LEVELS)
    return f"{criterion.name}. {criterion.description}\n{levels}"


def _cast(
    criterion: Criterion, entry: dict[str, Any], mean: float | None, exhibit: Exhibit
) -> JudgeReply:
    evidence = entry["evidence"] if entry["evidence"] in exhibit.sentences else None
    score = float(entry["score"]) if mean is None else mean
    # where a fault is absent there is nothing to cite
    if evidence is None and criterion.kind != "pitfall":
        score = min(score, UNFOUNDED)
    # a role that only chooses gives no reason; the level that it chose is the reason
    reason = entry.get("reason") or criterion.levels[band_of(score)]
    return JudgeReply(criterion.id, score, evidence, reason)


def _counted(criteria: Sequence[Criterion], exhibit: Exhibit, papers: Sequence[Paper]) -> Ballot:
    verdicts, missing = [], []
    for criterion in criteria:
        about = [paper for paper in papers if criterion.id in paper.criterion_ids]
        votes = [v for paper in about for v in paper.votes if v.criterion_id == criterion.id]
        if votes:
            verdicts.append(_verdict(votes, exhibit))
        else:
            losses = [entry for paper in about for entry in paper.dropped]
            missing.append(Missing(criterion_id=criterion.id, reason=_unread(losses)))
    dropped = tuple(entry for paper in papers for entry in paper.dropped)
    return Ballot(tuple(verdicts), tuple(missing), dropped)


def _unread(losses: Sequence[Dropped]) -> str:
    """Why there is no verdict."""
    if not losses:
        return "no reply spoke of it"
    return f"unreadable {losses[0].reason}: {losses[0].text[:80]!r}"


def _verdict(votes: Sequence[JudgeReply], exhibit: Exhibit) -> Verdict:
    middle = median(vote.score for vote in votes)
    # the vote that represents all: nearest to the median, if possible with a citation
    voice = min(votes, key=lambda vote: (abs(vote.score - middle), vote.evidence is None))
    return Verdict(
        criterion_id=voice.criterion_id,
        score=middle,
        votes=tuple(vote.score for vote in votes),
        evidence=voice.evidence,
        quote=exhibit.sentences.get(voice.evidence or ""),
        reason=voice.reason,
    )
