"""Training on the episodes of graphs, from the configuration to the adapter, on the tiny model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from quillgraph.backends.errors import ConfigError, InputError, RewardError
from quillgraph.rl.config.run import load_config

pytest.importorskip("trl")

OWN_GRAPH = """
from dataclasses import dataclass
from typing import TypedDict

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime


@dataclass
class Cast:
    planner: BaseChatModel
    writer: BaseChatModel


class Piece(TypedDict, total=False):
    request: str
    mood: str
    outline: str
    text: str
    serves: dict


async def plan(state: Piece, runtime: Runtime[Cast]) -> Piece:
    reply = await runtime.context.planner.ainvoke(f"outline {state['request']}", temperature=0.2)
    return {"outline": str(reply.content)}


async def write(state: Piece, runtime: Runtime[Cast]) -> Piece:
    reply = await runtime.context.writer.ainvoke(
        f"{state['outline']} {state['request']} {state.get('mood', '')}", seed=7, max_tokens=99
    )
    return {"text": "sun " + str(reply.content)}


async def say(state: Piece, runtime: Runtime[Cast]) -> Piece:
    reply = await runtime.context.writer.ainvoke(state["request"])
    return {"text": str(reply.content), "serves": {"plan": ["k1"]}}


async def fail(state: Piece, runtime: Runtime[Cast]) -> Piece:
    raise RuntimeError("the node is broken")


def build(last=write) -> StateGraph:
    graph = StateGraph(Piece, context_schema=Cast)
    graph.add_node("plan", plan)
    graph.add_node("write", last)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "write")
    graph.add_edge("write", END)
    return graph


def saying() -> StateGraph:
    return build(say)


def broken() -> StateGraph:
    return build(fail)


class Post(TypedDict, total=False):
    request: str
    mood: str
    letter: str


async def think(state: Post, runtime: Runtime[Cast]) -> Post:
    reply = await runtime.context.writer.ainvoke(state["request"])
    return {"letter": f"<think>moon</think>sun {reply.content}"}


def thoughtful() -> StateGraph:
    graph = StateGraph(Post, context_schema=Cast)
    graph.add_node("think", think)
    graph.add_edge(START, "think")
    return graph.add_edge("think", END)


def castless() -> StateGraph:
    graph = StateGraph(Piece)
    graph.add_node("echo", lambda state: {"text": state["request"]})
    return graph.add_edge(START, "echo")
"""
WORDS = ["sun", "moon", "rain"]

Configure = Callable[..., Path]


@pytest.fixture
def configure(short_run: Configure, tmp_path: Path) -> Configure:
    (tmp_path / "own.py").write_text(OWN_GRAPH)
    return short_run


def trained(file: Path, out: Path) -> None:
    from quillgraph.rl.stages.pipeline import train

    train(load_config(file), out, resume=False, tell=lambda _: None)


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]


def steps(out: Path) -> list[dict[str, Any]]:
    return [row for row in rows(out, "metrics") if "loss" in row]


def watch_side_rows(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """The rows beside TRL's batch, by step."""
    from quillgraph.rl.mrpo.trainer import MRPOTrainer

    seen: list[list[Any]] = []
    inner = MRPOTrainer._batch

    def batch(self: Any, side: Any) -> Any:
        seen.append(list(side))
        return inner(self, side)

    monkeypatch.setattr(MRPOTrainer, "_batch", batch)
    return seen


def test_best_of_n_trains_with_the_best_draft_as_its_text_and_the_others_beside_it(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = watch_side_rows(monkeypatch)
    out = tmp_path / "out"
    trained(configure(graph="best_of_n", start={"n": 3}), out)
    metrics = steps(out)
    assert [row["rollouts/excluded"] for row in metrics] == [0, 0]
    # 8 episodes of 3 drafts; a draft that is hardly there is asked for a second time
    assert all(24 <= row["rollouts/calls"] <= 48 for row in metrics)
    assert all(any(row.kind == "fresh" for row in each) for each in side)
    assert len(rows(out, "rollouts")) == 16
    assert (out / "adapter" / "adapter_model.safetensors").exists()


def test_a_graph_of_ones_own_is_rewarded_for_the_text_that_it_gives(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = watch_side_rows(monkeypatch)
    out = tmp_path / "out"
    trained(
        configure(
            graph="own.py:build", trainable=["planner", "writer"], start={"mood": "song"},
            options={"max_steps": 1},
        ),
        out,
    )  # fmt: skip
    texts = [row["text"] for row in rows(out, "rollouts")]
    # the graph puts a word before what its writer said: the reward is of the whole
    assert all(text.startswith("sun ") for text in texts)
    # the graph's own seed is the same for all copies; theirs are not
    assert len(set(texts)) > 4
    (metrics,) = steps(out)
    assert metrics["rollouts/calls"] == 16
    riders = [row for each in side for row in each if row.kind == "fresh"]
    assert 0 < len(riders) <= 8
    assert all(len(row.completion_ids) <= 8 for row in riders)


def test_a_letter_with_thinking_is_rewarded_for_the_letter(
    configure: Configure, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    settings = {"graph": "own.py:thoughtful", "trainable": ["writer"], "start": {"mood": "song"}}
    trained(configure(options={"max_steps": 1}, **settings), out)
    texts = [row["text"] for row in rows(out, "rollouts")]
    assert texts
    assert all(text.startswith("sun") and "moon</think>" not in text for text in texts)
    assert {row["aside"]["thinking"] for row in rows(out, "rollouts")} == {"moon"}
    (metrics,) = steps(out)
    assert (metrics["rollouts/excluded"], metrics["rewards/left_out"]) == (0, 0)


def test_the_calls_of_a_graph_are_sampled_from_the_policy_that_learns_from_them(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quillgraph.rl.mrpo.rows import SideBatch

    gaps: list[float] = []
    under = SideBatch.under

    def watch(batch: Any, logps_BT: Any) -> Any:
        gap = (logps_BT.detach() - batch.behaviour_BT).abs() * batch.mask_BT
        gaps.append((gap * batch.is_fresh_B.unsqueeze(1)).max().item())
        return under(batch, logps_BT)

    monkeypatch.setattr(SideBatch, "under", watch)
    trained(configure(graph="own.py:build", trainable=["planner", "writer"]), tmp_path / "out")
    # the planner asks for a temperature of .2 and the trainer's is 1: yet no ratio is off
    assert len(gaps) == 2
    assert max(gaps) < 1e-4


@pytest.fixture
def judged(tmp_path: Path) -> dict[str, Any]:
    """Criteria with a soft one, k1, and a judge by script who likes the moon."""
    from quillgraph.agents.domain import LEVELS, CriteriaSet, Criterion
    from quillgraph.agents.requests import writing_task
    from quillgraph.rl.config.criteria import hard_set, write_set

    soft = Criterion(
        id="k1", name="Moon", description="The moon.", kind="soft", tier="essential", weight=1.0,
        levels=dict.fromkeys(LEVELS, "more moon"), category_id="k", evidence=("i1",),
    )  # fmt: skip
    for n, word in enumerate(WORDS, 3):
        task = writing_task(f"Write a story in exactly {n} words about the {word}.")
        bare = hard_set(task)
        fields = {name: getattr(bare, name) for name in ("language", "genre", "core")}
        whole = CriteriaSet(
            request_hash=bare.request_hash, criteria=(*bare.criteria, soft), **fields
        )
        write_set(tmp_path / "sets", task, "hard", whole)
    item = {"criterion": "q1", "evidence": "s1", "reason": "It is."}
    script = {
        "rules": [
            {"when": r"s\d: [^\n]*(moon|sun|rain)", "reply": _items({**item, "score": 9})},
            {"when": "q1", "reply": _items({**item, "score": 2})},
        ]
    }
    (tmp_path / "judge.yaml").write_text(yaml.safe_dump(script))
    return {"judge": f"scripted:{tmp_path / 'judge.yaml'}", "samples": 1, "rules": {"dropout": 0}}


def _items(*items: dict[str, Any]) -> str:
    return json.dumps({"items": list(items)})


@pytest.mark.parametrize(("credit", "earns"), [("evidence", "write"), ("service", "plan")])
def test_credit_goes_to_the_node_that_answers_for_a_criterion(
    configure: Configure,
    tmp_path: Path,
    judged: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    credit: str,
    earns: str,
) -> None:
    from quillgraph.rl.mrpo import episode_rows as own_rows

    seen: list[dict[str, list[float]]] = []
    inner = own_rows._of_riders

    def watch(trainer: Any, step: Any) -> Any:
        gains = inner(trainer, step)
        whole = [value or 0.0 for plan in step.plans for value in plan.advantages]
        scores = [text.judgement.scores.get("k1") for group in step.groups for text in group]
        for number, rows in enumerate(gains):
            if rows:
                lead = step.out["advantages"][number].item()
                seen.append({"whole": [whole[number]], "write": [lead], "plan": list(rows)})
                seen[-1]["score"] = [scores[number] or 0.0]
        return gains

    monkeypatch.setattr(own_rows, "_of_riders", watch)
    out = tmp_path / "out"
    file = configure(
        graph="own.py:saying", trainable=["planner", "writer"], credit=credit,
        options={"max_steps": 1},
        sections={"rewards": judged, "criteria": {"study": "hard", "cache": "sets"}},
    )  # fmt: skip
    trained(file, out)
    assert len(seen) == 8
    for row in seen:
        # two nodes: what they get sums to twice the episode's advantage
        assert row["write"][0] + row["plan"][0] == pytest.approx(2 * row["whole"][0], abs=1e-6)
    good = [row for row in seen if row["score"] == [9]]
    other = "plan" if earns == "write" else "write"
    assert 0 < len(good) < 8
    assert all(row[earns][0] > row[other][0] for row in good)
    (logged,) = steps(out)
    assert logged["credit/moved"] > 0.01


@pytest.mark.parametrize(
    ("rl", "kind", "message"),
    [
        (
            {"graph": "best_of_m"},
            ConfigError,
            "unknown graph 'best_of_m': did you mean 'best_of_n'",
        ),
        ({"graph": "own.py:bild"}, ConfigError, "no 'bild' in .*own.py: did you mean 'build'"),
        ({"graph": "own.py:castless"}, ConfigError, "has no role that the policy could play"),
        ({"graph": "own.py:build", "trainable": ["writr"]}, ConfigError, "mean 'writer'"),
        ({"graph": "own.py:build", "roles": {"editor": "x:y"}}, ConfigError, "no role 'editor'"),
        (
            {"graph": "own.py:build", "trainable": ["writer"], "roles": {"writer": "x:y"}},
            ConfigError,
            "'writer' is trained, so the policy has to play it",
        ),
        ({"graph": "own.py:build", "start": {"mod": "x"}}, InputError, "takes no 'mod'"),
        ({"graph": "best_of_n", "measures": {"round": 1}}, ConfigError, "mean 'rounds'"),
        ({"graph": "best_of_n", "credit": "evidence"}, ConfigError, "rewards.judge is not set"),
        (
            {"graph": "best_of_n", "credit": "service"},
            ConfigError,
            "needs the verdicts of a judge",
        ),
        ({"credit": "evidence"}, ConfigError, "rl.credit is about the episodes of a graph"),
        ({"graph": "best_of_n", "algorithm": "grpo"}, ConfigError, "learns from one call"),
        (
            {
                "graph": "own.py:build",
                "credit_per_role": True,
                "options": {"scale_rewards": "group"},
            },
            ConfigError,
            "divides them by a deviation first",
        ),
        (
            {"graph": "own.py:broken", "trainable": ["planner"]},
            RewardError,
            "none of 8 rollouts gave a text to train on: node: RuntimeError",
        ),
    ],
)
def test_a_graph_that_cannot_be_trained_on_is_refused_with_the_reason(
    configure: Configure, tmp_path: Path, rl: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        trained(configure(**rl), tmp_path / "out")
    assert not (tmp_path / "out" / "rollouts.jsonl").exists()
