"""Prompts, and the criteria that texts for them are measured by."""

import pytest

from quillgraph.agents.checks import WordCount
from quillgraph.agents.domain import Criterion
from quillgraph.backends.errors import InputError
from quillgraph.evals.data.prompts import Prompt, prompts_of
from quillgraph.evals.data.records import HumanCriterion, RubricRequest
from quillgraph.evals.data.rubrics import generic_rubric

OWN = HumanCriterion(name="Image", description="One clear image.")


def of(request: str, soft: tuple[Criterion, ...] | None = None, **more: object) -> Prompt:
    row = RubricRequest.model_validate({"id": "r", "request": request, **more})
    (prompt,), excluded = prompts_of([row], soft)
    assert excluded == {}
    return prompt


def kinds(prompt: Prompt) -> list[tuple[str, str]]:
    return [(each.kind, each.id) for each in prompt.criteria_set.criteria]


def test_hard_criteria_come_of_the_request_and_soft_ones_with_it() -> None:
    prompt = of("Write of the sea in at most 6 words.", criteria=[OWN])
    assert kinds(prompt) == [("hard", "h1"), ("soft", "p1")]
    assert prompt.criteria_set.criteria[0].check == WordCount(max=6)
    assert prompt.criteria_set.request_hash == prompt.task.request_hash


def test_a_request_without_criteria_gets_the_generic_rubric() -> None:
    assert kinds(of("Write of the sea.")) == [("soft", each.id) for each in generic_rubric()]


def test_chosen_criteria_stand_for_a_requests_own_without_their_hard_ones() -> None:
    hard = of("Write of the moor in at most 9 words.").criteria_set.criteria[0]
    prompt = of("Write of the sea.", (hard, generic_rubric()[0]), criteria=[OWN])
    assert kinds(prompt) == [("soft", "g1")]


def test_the_length_of_a_benchmark_is_a_demand_unless_the_request_names_one() -> None:
    (hard, *_) = of("Write of the sea.", words=200).criteria_set.criteria
    # about 200: 15 % either way
    assert (hard.id, hard.check) == ("h1", WordCount(min=170, max=230))
    worded = of("Write of the sea in at most 6 words.", words=200)
    assert [each.check for each in worded.criteria_set.criteria if each.check] == [WordCount(max=6)]


def test_a_limit_draws_by_the_seed_and_keeps_the_files_order() -> None:
    rows = [RubricRequest(id=f"r{n}", request=f"Write of night {n}.") for n in range(20)]
    names = [p.id for p in prompts_of(rows, None, limit=5, seed=3)[0]]
    assert names == [p.id for p in prompts_of(rows, None, limit=5, seed=3)[0]]
    assert names == sorted(names, key=lambda name: int(name[1:]))
    assert names != [p.id for p in prompts_of(rows, None, limit=5, seed=4)[0]]
    assert len(prompts_of(rows, None, limit=50)[0]) == 20


def test_what_no_task_can_be_made_of_is_counted() -> None:
    rows = [
        RubricRequest(id="good", request="Write of the sea."),
        RubricRequest(id="blank", request="  "),
    ]
    prompts, excluded = prompts_of(rows, None)
    assert [each.id for each in prompts] == ["good"]
    assert excluded == {"requests that no task can be made of": 1}
    with pytest.raises(InputError, match="no request can be written to; the first is blank"):
        prompts_of(rows[1:], None)
