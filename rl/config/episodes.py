"""What episodes give to imitate: targets of three kinds, and pairs of a better and a worse text.

`ALGORITHM.md` 6.5, stage 1. Every prompt is the one that the role of the loop reads, so what is
learned from an episode is used where the episode came from.
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
from quillgraph.agents.text.file import read_lines, read_text
from quillgraph.agents.writers import reflecting_prompt, revising_fields
from quillgraph.backends.errors import InputError
from quillgraph.graphs.episodes import Attempt, WrittenEpisode
from quillgraph.rl.config.requests import Turns, prompt_of

SftKind = Literal["write", "revise", "criticise"]

KINDS: tuple[SftKind, ...] = ("write", "revise", "criticise")


class Target(Value):
    """A reply to imitate, and what it is the reply to."""

    kind: SftKind
    prompt: tuple[dict[str, str], ...]
    completion: str
    request_hash: str
    criteria_sha: str
    reward: float
    """Of the text that stands at the end of the episode."""
    delta: float
    """How much better it is than what it was made from."""

    def row(self) -> dict[str, Turns]:
        """As TRL's data sets hold it; with a prompt of its own no token of it is learned."""
        reply = [{"role": "assistant", "content": self.completion}]
        return {"prompt": list(self.prompt), "completion": reply}


class PreferencePair(Value):
    """A better and a worse text for one prompt, as TRL's preference data sets hold them."""

    prompt: tuple[dict[str, str], ...]
    chosen: tuple[dict[str, str], ...]
    rejected: tuple[dict[str, str], ...]
    request_hash: str
    criteria_sha: str
    chosen_reward: float
    rejected_reward: float


@dataclass(frozen=True, slots=True)
class Success:
    """The text that an episode ends with, where it is better than what it was made from."""

    episode: WrittenEpisode
    attempt: Attempt
    reward: float
    delta: float

    @classmethod
    def of(cls, episode: WrittenEpisode) -> "Success | None":
        """Read it off an episode; None where nothing became better, or no reward could be had.

        A revision is measured by the text that it revises, drafts that stand side by side by
        their mean.
        """
        attempt = episode.attempts[episode.best]
        value = attempt.reward.value
        if value is None:
            return None
        if attempt.decision == "accepted" and attempt.parent is not None:
            before = episode.attempts[attempt.parent].reward.value
        elif attempt.decision == "drawn":
            drawn = [a.reward.value for a in episode.attempts if a.reward.value is not None]
            before = sum(drawn) / len(drawn)
        else:
            before = None
        if before is None or value <= before:
            return None
        return cls(episode, attempt, value, value - before)


def successes(episodes: Iterable[WrittenEpisode], top_share: float) -> tuple[Success, ...]:
    """The accepted texts that became better, the best `top_share` of them, best first."""
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
    """Make what is to be imitated of the texts that became better.

    Three kinds: the request to the text; the request, the parent and its critique to the text;
    the request, the criteria and the parent to the critique. No kind gets more than its share
    beside the first; which targets of it are taken is drawn with the seed.
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
    order, chosen = random.Random(seed), []
    for kind in KINDS:
        most = len(of_kind[kind]) if scale is None else round(scale * shares[kind])
        chosen += order.sample(of_kind[kind], min(most, len(of_kind[kind]))) if shares[kind] else []
    return tuple(chosen)


def preferences(
    episodes: Iterable[WrittenEpisode], *, prompt: Literal["request", "writer"]
) -> tuple[PreferencePair, ...]:
    """Pairs of a text and a worse one for the same request.

    A revision and its parent, whichever is better, and the best draft and the worst.
    """
    return tuple(
        _preference(episode, better, worse, prompt)
        for episode in episodes
        for better, worse in _pairs(episode)
    )


def load_episodes(paths: Iterable[Path]) -> tuple[WrittenEpisode, ...]:
    """Read episodes from `episode.json` files, folders of run folders, or JSON lines.

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
    """The reflection whose edits led to the text; what code found is no part of one."""
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
    """Attempts of which the first is better than the second."""
    drawn = [a for a in episode.attempts if a.decision == "drawn" and a.reward.value is not None]
    candidates = [
        (attempt, episode.attempts[attempt.parent])
        for attempt in episode.attempts
        if attempt.parent is not None
    ]
    if drawn:
        ranked = sorted(drawn, key=_value)
        candidates.append((ranked[-1], ranked[0]))
    known = [p for p in candidates if None not in (p[0].reward.value, p[1].reward.value)]
    ordered = [(a, b) if _value(a) > _value(b) else (b, a) for a, b in known]
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
