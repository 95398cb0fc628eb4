"""SFT data from episodes: targets of three kinds, and pairs of a better and a worse text.

`ALGORITHM.md` 6.5, stage 1. Every prompt is the one that a role of the loop reads, so the loop
itself uses what the model learns from an episode.
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from langchain_core.messages import BaseMessage, convert_to_openai_messages
from pydantic import ValidationError

from quillgraph.agents.domain import Value
from quillgraph.agents.judges import NOTHING, Exhibit
from quillgraph.agents.prompt import render
from quillgraph.agents.replies import reply_text
from quillgraph.agents.text.file import read_lines, read_text
from quillgraph.agents.writers import reflecting_prompt, revising_fields
from quillgraph.backends.errors import InputError
from quillgraph.graphs.episodes import Attempt, WrittenEpisode
from quillgraph.rl.config.requests import Turns, prompt_of

SftKind = Literal["write", "revise", "criticise"]

KINDS: tuple[SftKind, ...] = ("write", "revise", "criticise")


class Target(Value):
    """A completion to imitate, with its prompt."""

    kind: SftKind
    prompt: tuple[dict[str, str], ...]
    completion: str
    request_hash: str
    criteria_sha: str
    reward: float
    """Reward of the text that the episode ends with."""
    delta: float
    """Gain in reward over the text or texts that it improves on."""

    def row(self) -> dict[str, Turns]:
        """The row of a TRL dataset; the prompt has its own column, so only the reply is learned."""
        reply = [{"role": "assistant", "content": self.completion}]
        return {"prompt": list(self.prompt), "completion": reply}


class PreferencePair(Value):
    """A better and a worse text for one prompt, as in TRL's preference datasets."""

    prompt: tuple[dict[str, str], ...]
    chosen: tuple[dict[str, str], ...]
    rejected: tuple[dict[str, str], ...]
    request_hash: str
    criteria_sha: str
    chosen_reward: float
    rejected_reward: float


@dataclass(frozen=True, slots=True)
class Success:
    """The final text of an episode, where it is better than the text or texts before it."""

    episode: WrittenEpisode
    attempt: Attempt
    reward: float
    delta: float

    @classmethod
    def of(cls, episode: WrittenEpisode) -> "Success | None":
        """Read it from an episode; None where no text got better, or a reward is missing.

        A text that an earlier build kept with its thinking is judged as what it was: its reward is
        of other words, so it is left out.

        A revision is compared with the text that it revises, the best of several drafts with
        their mean.
        """
        attempt = episode.attempts[episode.best]
        value = attempt.reward.value
        if value is None or not is_bare(episode, attempt):
            return None
        if attempt.decision == "accepted" and attempt.parent is not None:
            before = episode.attempts[attempt.parent].reward.value
        elif attempt.decision == "drawn":
            draft_rewards = [a.reward.value for a in episode.attempts if a.reward.value is not None]
            before = sum(draft_rewards) / len(draft_rewards)
        else:
            before = None
        if before is None or value <= before:
            return None
        return cls(episode, attempt, value, value - before)


def is_bare(episode: WrittenEpisode, attempt: Attempt) -> bool:
    """Whether a text holds nothing but itself: what builds before this one kept may hold more."""
    return reply_text(attempt.text, request=episode.task.request).text == attempt.text


def successes(episodes: Iterable[WrittenEpisode], top_share: float) -> tuple[Success, ...]:
    """The accepted texts that improved: the best `top_share` of them, best first."""
    better = [success for each in episodes if (success := Success.of(each))]
    better.sort(key=lambda success: -success.reward)
    return tuple(better[: max(1, round(top_share * len(better)))] if better else ())


def targets(
    better: Sequence[Success],
    *,
    prompt: Literal["request", "writer"],
    mix: tuple[float, float, float],
    seed: int,
) -> tuple[Target, ...]:
    """Make SFT targets from the texts that improved.

    Three kinds: from the request to the text; from the request, the parent and its critique to the
    text; from the request, the criteria and the parent to the critique. No kind exceeds its share
    relative to `write`; the seed draws which targets of a kind are taken.
    """
    of_kind: dict[SftKind, list[Target]] = {kind: [] for kind in KINDS}
    for success in better:
        of_kind["write"].append(_writing(success, prompt))
        if (revising := _revising(success)) is not None:
            of_kind["revise"].append(revising)
        if (criticising := _criticising(success)) is not None:
            of_kind["criticise"].append(criticising)
    shares = dict(zip(KINDS, mix, strict=True))
    scale = len(of_kind["write"]) / shares["write"] if shares["write"] else None
    rng, sample = random.Random(seed), []
    for kind in KINDS:
        most = len(of_kind[kind]) if scale is None else round(scale * shares[kind])
        sample += rng.sample(of_kind[kind], min(most, len(of_kind[kind]))) if shares[kind] else []
    return tuple(sample)


def preferences(
    episodes: Iterable[WrittenEpisode], *, prompt: Literal["request", "writer"]
) -> tuple[PreferencePair, ...]:
    """Pair each better text with a worse one for the same request.

    The pairs are a revision and its parent, whichever is better, and the best and worst draft.
    """
    return tuple(
        _preference(episode, better, worse, prompt)
        for episode in episodes
        for better, worse in _pairs(episode)
    )


def load_episodes(paths: Iterable[Path]) -> tuple[WrittenEpisode, ...]:
    """Read episodes from `episode.json` files, folders that hold such files, or JSON lines.

    Raises:
        InputError: If a file cannot be read or holds no episode, or a folder holds none.
    """
    return tuple(episode for path in paths for episode in _read(path))


def _writing(success: Success, prompt: Literal["request", "writer"]) -> Target:
    return _target(success, "write", prompt_of(success.episode.task, prompt), success.attempt.text)


def _revising(success: Success) -> Target | None:
    attempt = success.attempt
    if attempt.plan is None or attempt.parent is None:
        return None
    draft = success.episode.attempts[attempt.parent].text
    messages = render(
        "revising",
        request=success.episode.task.request,
        **revising_fields(draft, attempt.plan),
    )
    return _target(success, "revise", _turns(messages), attempt.text)


def _criticising(success: Success) -> Target | None:
    """The reflection whose edits led to the text; edits that come from code checks are left out."""
    attempt = success.attempt
    if attempt.plan is None or attempt.parent is None:
        return None
    parent = success.episode.attempts[attempt.parent]
    verdicts = {verdict.criterion_id: verdict for verdict in parent.judgement.verdicts}
    by_id = {criterion.id: criterion for criterion in success.episode.criteria_set.criteria}
    edits = [edit for edit in attempt.plan.edits if edit.criterion_id in verdicts]
    if not edits:
        return None
    keys = {f"q{number}": edit for number, edit in enumerate(edits, 1)}
    exhibit = Exhibit.of(parent.text)
    messages = reflecting_prompt(
        success.episode.task.request,
        exhibit,
        {key: by_id[edit.criterion_id] for key, edit in keys.items()},
        verdicts,
    )
    return _target(success, "criticise", _turns(messages), _critique(keys, exhibit))


def _critique(keys: dict[str, Any], exhibit: Exhibit) -> str:
    ids = {sentence: key for key, sentence in exhibit.sentences.items()}
    items = [
        {
            "criterion": key,
            "sentence": ids.get(edit.quote or "", NOTHING),
            "cause": edit.cause,
            "fix": edit.fix,
        }
        for key, edit in keys.items()
    ]
    return json.dumps({"items": items}, ensure_ascii=False)


def _target(success: Success, kind: SftKind, prompt: Turns, completion: str) -> Target:
    return Target(
        kind=kind,
        prompt=tuple(prompt),
        completion=completion,
        request_hash=success.episode.task.request_hash,
        criteria_sha=success.episode.criteria_set.sha256,
        reward=success.reward,
        delta=success.delta,
    )


def _pairs(episode: WrittenEpisode) -> list[tuple[Attempt, Attempt]]:
    """Pairs of attempts, the better one first."""
    drafts = [a for a in episode.attempts if a.decision == "drawn" and a.reward.value is not None]
    candidates = [
        (attempt, episode.attempts[attempt.parent])
        for attempt in episode.attempts
        if attempt.parent is not None
    ]
    if drafts:
        ranked = sorted(drafts, key=_value)
        candidates.append((ranked[-1], ranked[0]))
    rated = [
        pair
        for pair in candidates
        if all(each.reward.value is not None and is_bare(episode, each) for each in pair)
    ]
    ordered = [(a, b) if _value(a) > _value(b) else (b, a) for a, b in rated]
    return [(a, b) for a, b in ordered if _value(a) > _value(b) and a.text != b.text]


def _value(attempt: Attempt) -> float:
    return attempt.reward.value or 0.0


def _preference(
    episode: WrittenEpisode, better: Attempt, worse: Attempt, prompt: Literal["request", "writer"]
) -> PreferencePair:
    return PreferencePair(
        prompt=tuple(prompt_of(episode.task, prompt)),
        chosen=({"role": "assistant", "content": better.text},),
        rejected=({"role": "assistant", "content": worse.text},),
        request_hash=episode.task.request_hash,
        criteria_sha=episode.criteria_set.sha256,
        chosen_reward=_value(better),
        rejected_reward=_value(worse),
    )


def _read(path: Path) -> list[WrittenEpisode]:
    if path.is_dir():
        files = sorted(path.rglob("episode.json"))
        if not files:
            raise InputError(f"expected folders with an episode.json in {path}, found none")
        return [episode for file in files for episode in _read(file)]
    lines = read_lines(path) if path.suffix == ".jsonl" else [(None, read_text(path))]
    return [
        _episode(text, f"{path}, line {number}" if number else f"{path}") for number, text in lines
    ]


def _episode(text: str, where: str) -> WrittenEpisode:
    try:
        return WrittenEpisode.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(
            f"expected an episode in {where}, but {field!r}: {first['msg'].lower()}; "
            "`quillgraph write` leaves an episode.json in its run folder"
        ) from error


def _turns(messages: list[BaseMessage]) -> Turns:
    turns: Any = convert_to_openai_messages(messages)
    return list(turns)
