"""From a finished run to its episode: its output, or why and where it failed."""

import dataclasses
import sysconfig
import traceback
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from langgraph.errors import GraphRecursionError
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from quillgraph.agents.domain import CriteriaSet, Dropped
from quillgraph.agents.judgements import Judgement, Reward, text_hash
from quillgraph.agents.replies import reply_text
from quillgraph.backends.errors import BackendError, BudgetReached, QuillError, ReplyError, nearest
from quillgraph.graphs.episodes.episode import Attempt, Episode, Failure, WrittenEpisode, role_of


def own_line(error: BaseException) -> str:
    """The innermost line of a graph's own code: not ours, Python's or an installed package's.

    Returns:
        As ` (file.py, line 7)`; empty where there is no such line.
    """
    others = (
        "site-packages",
        sysconfig.get_path("stdlib"),
        "<frozen ",
        str(Path(__file__).parents[2]),
    )
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not any(part in each.filename for part in others)]
    if not own:
        return ""
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})"


RUN_FIELDS = frozenset(
    {"version", "task", "id", "graph", "trainable", "failure", "calls", "given_up"}
)
"""Fields of an episode that the run fills, not the graph."""


class LostKeys(QuillError):
    """A node returned keys that the graph's state does not have."""

    def __init__(self, node: str, keys: tuple[str, ...]) -> None:
        super().__init__(node, keys)
        self.node, self.keys = node, keys

    def __str__(self) -> str:
        names = ", ".join(repr(key) for key in self.keys)
        return (
            f"node {self.node!r} returned {names}, which the graph's state does not have, so "
            "LangGraph would drop it; correct the name or add it to the state"
        )


class Unanswered(QuillError):
    """A graph asked a question by `interrupt`, and the caller gave no `answer`."""

    def __init__(self, question: Any) -> None:
        super().__init__(question)

    def __str__(self) -> str:
        return f"the graph asked {self.args[0]!r}; give answer= to reply to its interrupts"


KINDS: tuple[tuple[type[Exception], str], ...] = (
    (LostKeys, "lost keys"),
    (Unanswered, "interrupt"),
    (GraphRecursionError, "recursion"),
    (BudgetReached, "budget"),
    (BackendError, "backend"),
    (ReplyError, "backend"),
)


def failure_of(error: Exception, node: str | None, most_steps: int) -> Failure:
    """Say what failed, and where."""
    kind: Any = next((name for family, name in KINDS if isinstance(error, family)), "node")
    reason = str(error) if isinstance(error, QuillError) else f"{type(error).__name__}: {error}"
    if kind == "node":
        reason += own_line(error)
    if kind == "recursion":
        reason = (
            f"the graph has not ended after {most_steps} supersteps: it loops forever, or needs "
            "a larger most_steps"
        )
    elif "msgpack serializable" in reason:
        kind, reason = "state", f"the state cannot be written to the graph's checkpointer: {reason}"
    return Failure(kind=kind, reason=reason, node=node)


def sealed(episode: Episode, entry: Mapping[str, Any], output: Any) -> Episode:
    """Add the graph's output to the record of its run.

    An episode in the output is used as it is. Otherwise a `text` with the `criteria_set`
    it was judged under, its `judgement` and its `reward` become an attempt. All other output is
    kept as JSON.

    Returns:
        The episode; with a failure if the output cannot be written as JSON.
    """
    if episode.failure:
        return episode
    fields = _fields(output)
    own = fields.pop("episode", None)
    if not isinstance(own, Episode):
        own = _judged(episode, {**entry, **fields})
    content = {key: getattr(own, key) for key in type(own).model_fields if key not in RUN_FIELDS}
    run = {key: getattr(episode, key) for key in RUN_FIELDS}
    try:
        kept = {
            key: _json(key, value) for key, value in fields.items() if not _stands(key, value, own)
        }
    except TypeError as error:
        failure = Failure(kind="state", reason=str(error))
        changes = {"failure": failure, "stopped": failure.reason, "is_complete": False}
        return episode.model_copy(update=changes)
    same = tuple(key for key in kept if key in entry and entry[key] == fields[key])
    return type(own).model_validate({**content, **run, "output": kept, "unchanged": same})


def unused_roles(episode: Episode, roles: AbstractSet[str], known: AbstractSet[str]) -> Episode:
    """Record roles without calls; without a call in a trainable role there is nothing to train.

    Args:
        episode: The sealed episode.
        roles: Roles that were cast by name.
        known: Roles and nodes that the graph is known to have.

    Returns:
        The episode; with a failure if the graph does not have one of the cast or trainable roles,
        or if no trainable role made a call.
    """
    used = {role_of(call) for call in episode.calls}
    idle = sorted((set(episode.trainable) | roles) - used)
    if episode.failure or not idle:
        return episode
    strangers = [name for name in idle if name not in known]
    failure = None
    if strangers:
        guess = nearest(strangers[0], known | used)
        failure = Failure(kind="role", reason=f"no call was made in role {strangers[0]!r}: {guess}")
    elif episode.trainable and not used & set(episode.trainable):
        failure = Failure(
            kind="role",
            reason=f"no call was made in a trainable role ({', '.join(episode.trainable)}); "
            f"calls were made by: {', '.join(sorted(used)) or 'nobody'}",
        )
    notes = tuple(
        Dropped(stage="run", agent=name, reason="no call was made in this role", text="")
        for name in idle
    )
    return episode.model_copy(
        update={
            "dropped": (*episode.dropped, *notes),
            "failure": failure,
            "is_complete": episode.is_complete and failure is None,
            "stopped": failure.reason if failure else episode.stopped,
        }
    )


def _fields(output: Any) -> dict[str, Any]:
    if isinstance(output, Mapping):
        return dict(output)
    if isinstance(output, BaseModel):
        return {key: getattr(output, key) for key in type(output).model_fields}
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return {each.name: getattr(output, each.name) for each in dataclasses.fields(output)}
    return {} if output is None else {"output": output}


def _judged(episode: Episode, fields: Mapping[str, Any]) -> Episode:
    """The episode with its criteria and its judged text, as far as the output has them."""
    criteria_set = fields.get("criteria_set")
    if not isinstance(criteria_set, CriteriaSet):
        return episode
    text, judgement, reward = (fields.get(key) for key in ("text", "judgement", "reward"))
    record = {key: getattr(episode, key) for key in Episode.model_fields}
    record["criteria_set"] = criteria_set
    if (
        not isinstance(text, str)
        or not isinstance(judgement, Judgement)
        or not isinstance(reward, Reward)
    ):
        return Episode(**record)
    reply = reply_text(text, request=episode.task.request)
    about = (criteria_set.sha256, text_hash(reply.words))
    if reply.text is None or (judgement.criteria_sha, judgement.text_sha) != about:
        return Episode(**record)
    attempt = Attempt(
        number=0,
        parent=None,
        text=reply.text,
        aside=reply.aside,
        judgement=judgement,
        reward=reward,
        decision="first",
    )
    return WrittenEpisode(**{**record, "attempts": (attempt,), "best": 0})


def _stands(key: str, value: Any, episode: Episode) -> bool:
    """Whether the episode holds a field of the graph's output already."""
    if key in ("task", "criteria_set"):
        return bool(value == getattr(episode, key))
    if isinstance(episode, WrittenEpisode) and key in ("text", "judgement", "reward"):
        return bool(value == getattr(episode.standing, key))
    return False


def _json(key: str, value: Any) -> Any:
    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, ValueError) as error:
        raise TypeError(
            f"the graph's output {key!r} cannot be written as JSON ({error}); keep it out of the "
            "state, for example in the context, or leave it out of the output_schema"
        ) from error
