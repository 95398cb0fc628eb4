"""The policy on requests that it was not trained on."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from quillgraph.agents.domain import CriteriaSet, Criterion, WritingTask
from quillgraph.agents.judgements import Verdict, judged
from quillgraph.agents.judges import Ballot
from quillgraph.agents.requests import writing_task
from quillgraph.rl.config.run import ModelConfig
from quillgraph.rl.monitors.evaluation import evaluate, write_texts
from quillgraph.rl.rewards.rules import RewardRules
from quillgraph.rl.rewards.scorer import JudgeQueue
from quillgraph.rl.run.policy import load_policy

SCRIPTS = Path(__file__).parents[3] / "examples" / "scripts"
SHARDED = Path(__file__).with_name("sharded_run.py")
TASK = writing_task((SCRIPTS / "ferry.txt").read_text(encoding="utf-8"))
CRITERIA = CriteriaSet.model_validate_json((SCRIPTS / "ferry.criteria.json").read_text("utf-8"))
TEXT = "The fog lay on the river, and the ferry waited for somebody who did not come."


class Pleased:
    """A judge who is pleased by what was trained and by nothing else."""

    name = "pleased"

    def __init__(self, trained: frozenset[str]) -> None:
        self.trained = trained

    async def judge(self, task: WritingTask, text: str, criteria: Sequence[Criterion]) -> Ballot:
        scores = {c.id: 10 if c.id in self.trained else 1 for c in judged(tuple(criteria))}
        return Ballot(
            tuple(Verdict(criterion_id=k, score=s, votes=(s,), evidence="s1", quote=TEXT)
                  for k, s in scores.items())
        )  # fmt: skip


def test_a_model_that_is_sharded_among_processes_writes_what_it_writes_whole(
    tiny_folder: Path, tmp_path: Path, run_processes: Callable[..., None]
) -> None:
    run_processes(SHARDED, tiny_folder, tmp_path, log=tmp_path / "log.txt", processes=2)
    first, second = (json.loads((tmp_path / f"texts-{n}.json").read_text()) for n in range(2))
    assert first == second
    assert first["whole"] == first["sharded"] == first["again"]
    assert any(text for texts in first["whole"] for text in texts)


async def test_criteria_that_were_never_trained_on_are_told_apart() -> None:
    ids = {each.id for each in judged(CRITERIA.criteria)}
    seeds = (RewardRules(held_out=0.5, seed=seed) for seed in range(50))
    rules = next(rules for rules in seeds if len(rules.trained(CRITERIA)) < len(ids))
    scorer = JudgeQueue(Pleased(rules.trained(CRITERIA)))
    texts, sets = {TASK.request_hash: [TEXT]}, {TASK.request_hash: CRITERIA}
    evaluation = await evaluate(texts, [TASK], sets, scorer, rules, step=7)
    scorer.close()
    assert evaluation.metrics["eval/seen"] == 1.0
    assert evaluation.metrics["eval/unseen"] == 0.0
    # the reward of an evaluation hides nothing, so it lies between
    assert 0 < evaluation.metrics["eval/soft"] < 1
    assert evaluation.scored[0].reward.inactive == ()


async def test_where_nothing_was_held_out_nothing_is_told_apart() -> None:
    scorer = JudgeQueue(Pleased(frozenset()))
    texts, sets = {TASK.request_hash: [TEXT, TEXT]}, {TASK.request_hash: CRITERIA}
    evaluation = await evaluate(texts, [TASK], sets, scorer, RewardRules(dropout=0.9), step=0)
    scorer.close()
    assert not {"eval/seen", "eval/unseen"} & set(evaluation.metrics)
    assert len(evaluation.scored) == 2


@pytest.mark.usefixtures("training_libraries")
def test_writing_texts_leaves_the_random_state_of_training_as_it_was(tiny_folder: Path) -> None:
    import torch

    policy = load_policy(ModelConfig(name=str(tiny_folder)))
    policy.model.train()
    prompts = [[{"role": "user", "content": word}] for word in ("sun", "moon song", "rain")]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = write_texts(policy, prompts, texts=2, max_tokens=6, seed=1)
    assert torch.equal(torch.rand(3), expected)
    assert policy.model.training
    assert [len(texts) for texts in first] == [2, 2, 2]
    assert write_texts(policy, prompts, texts=2, max_tokens=6, seed=1) == first
    assert write_texts(policy, prompts, texts=2, max_tokens=6, seed=2) != first
