"""The set-up of a comparison of policies, fixed before the first text is written."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from quillgraph.agents.domain import Criterion, Value, WritingTask
from quillgraph.backends.errors import InputError
from quillgraph.backends.spec import BackendSpec
from quillgraph.evals.data.loader import Loaded
from quillgraph.evals.data.prompts import Prompt, prompts_of
from quillgraph.evals.data.records import RubricRequest
from quillgraph.evals.policies.kinship import (
    refuse_training_judge,
    reservations,
    seen_in_training,
)
from quillgraph.evals.policies.policy import Policy, rank_option, read_policies
from quillgraph.evals.policies.records import TextKey
from quillgraph.evals.policies.training_record import trained_requests
from quillgraph.evals.policies.writers import Reading, policy_graph
from quillgraph.graphs.episodes import parts_of

WEIGHTS = "adapter_model.safetensors"

GENERIC = "the generic rubric"
"""Name of the criteria of `data.generic_rubric` in reports."""


class ContestOptions(Value):
    """How policies are compared."""

    texts: int = Field(default=2, ge=1)
    """Texts of each policy for each prompt."""
    limit: int | None = Field(default=None, ge=1)
    """Most prompts, drawn by the seed; None takes all."""
    reading: Reading = "request"
    """The prompt of a model without a graph."""
    baselines: bool = False
    """Whether to add best-of-N and Self-Refine, at the tokens of the most expensive policy."""
    allow_same_judge: bool = False
    """Whether a judge may score a policy that it has trained."""
    seed: int = 0
    samples: int = Field(default=2, ge=1)
    """Votes of the judge on each criterion."""
    rounds: int = Field(default=3, ge=0)
    text_tokens: int = Field(default=512, ge=1)
    drafts: int = Field(default=4, ge=0)
    draft_tokens: int = Field(default=160, ge=1)
    """This and the three before it are measures that a graph may ask for by name."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Policies, prompts and the judge of a comparison."""

    data: str
    """Name of the file."""
    data_format: str
    prompts: tuple[Prompt, ...]
    criteria: str
    """Source of the soft criteria."""
    policies: tuple[Policy, ...]
    """The first is the reference of the others."""
    judge: BackendSpec
    options: ContestOptions = field(default_factory=ContestOptions)
    notes: tuple[str, ...] = ()
    """Reservations that readers must know before they trust the numbers."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Why records of the file are left out, and how many."""
    skipped: tuple[str, ...] = ()
    """Those that could not be read, each with its place and the reason."""

    @property
    def reference(self) -> Policy:
        """The policy that the others are compared with."""
        return self.policies[0]

    @property
    def wanted(self) -> int:
        """Total number of texts."""
        return len(self.policies) * len(self.prompts) * self.options.texts

    @property
    def models(self) -> list[BackendSpec]:
        """The models of the policies, and the judge."""
        return [*(each.model for each in self.policies), self.judge]

    def prompt(self, name: str) -> Prompt:
        """The prompt of this id."""
        return next(each for each in self.prompts if each.id == name)

    def places(self, policy: Policy) -> list[TextKey]:
        """The texts that a policy is to write, prompt by prompt."""
        numbers = range(self.options.texts)
        return [(policy.name, each.id, number) for each in self.prompts for number in numbers]

    @property
    def all_places(self) -> list[TextKey]:
        """The texts of all policies, policy by policy."""
        return [place for policy in self.policies for place in self.places(policy)]

    @property
    def in_turn(self) -> tuple[Policy, ...]:
        """The policies in an order with the fewest changes of engine.

        Policies at equal tokens come last, since they need the others' costs. A policy that shares
        the judge's engine comes just before the judge.
        """
        engines = list(dict.fromkeys(each.model.model_dump_json() for each in self.policies))
        return tuple(
            sorted(
                self.policies,
                key=lambda each: (
                    each.at_equal_tokens,
                    each.model == self.judge,
                    engines.index(each.model.model_dump_json()),
                ),
            )
        )

    def facts(self) -> dict[str, Any]:
        """What must be the same for a comparison to go on."""
        sets = "".join(each.criteria_set.sha256 for each in self.prompts)
        return {
            "policies": {each.name: each.spec for each in self.policies},
            "weights": {each.name: _digest(each) for each in self.policies if each.adapter},
            "data": self.data,
            "prompts": hashlib.sha256(
                "\0".join(each.task.request for each in self.prompts).encode()
            ).hexdigest(),
            "criteria": hashlib.sha256(sets.encode()).hexdigest(),
            "judge": self.judge.model_dump(mode="json"),
            "texts": self.options.texts,
            "prompt": self.options.reading,
            **self.options.model_dump(include={"seed", "text_tokens", "samples", "rounds"}),
        }


def read_contest(
    policies: Sequence[str],
    data: Loaded,
    judge: str,
    *,
    criteria: Sequence[Criterion] | None = None,
    criteria_name: str = "criteria from elsewhere",
    options: ContestOptions | None = None,
) -> Contest:
    """Read the policies, the prompts and the judge of a comparison.

    Args:
        policies: See `read_policies`; the first is what the others are compared with.
        data: Requests; the criteria that came with one are its soft criteria.
        judge: Spec of the backend that scores and compares the texts.
        criteria: Soft criteria for all prompts; None takes each request's own, else the generic
            rubric.
        criteria_name: What the report calls them.
        options: How they are compared.

    Raises:
        ConfigError: If something is no policy, or the judge has trained one of them.
        InputError: If there are no requests in the data.
    """
    options = options or ContestOptions()
    entrants = read_policies(policies, baselines=options.baselines)
    if not options.allow_same_judge:
        refuse_training_judge(entrants, judge)
    if not data.requests:
        raise InputError(
            f"{data.path} ({data.format}) holds judgements of people and no requests to write to"
        )
    soft = tuple(criteria) if criteria else None
    prompts, excluded = prompts_of(data.requests, soft, limit=options.limit, seed=options.seed)
    if data.skipped:
        excluded["records that could not be read"] = len(data.skipped)
    entered = [each for each in entrants if not each.at_equal_tokens]
    tasks = [prompt.task for prompt in prompts]
    return Contest(
        data=data.name,
        data_format=data.format,
        prompts=prompts,
        criteria=criteria_name if soft else _own_criteria(data.requests),
        policies=entrants,
        judge=sharing(BackendSpec.parse(judge), entrants),
        options=options,
        notes=(*reservations(entered, judge), *_caveats(entrants, tasks, options.reading)),
        excluded=excluded,
        skipped=data.skipped,
    )


def _own_criteria(requests: Sequence[RubricRequest]) -> str:
    """Source of the criteria if none are named."""
    own = [bool(request.criteria) for request in requests]
    if not any(own):
        return GENERIC
    return "the requests' own criteria" + ("" if all(own) else ", else the generic rubric")


def _caveats(
    policies: Sequence[Policy], tasks: Sequence[WritingTask], reading: Reading
) -> Iterator[str]:
    """What differs between the policies, apart from the judge."""
    graphs = [each for each in policies if each.graph]
    if graphs and len(graphs) < len(policies) and reading == "request":
        yield "Models read the bare request, and graphs prompts of their own; see --prompt writer."
    if taking := [each.name for each in graphs if _takes_criteria(each)]:
        yield f"{', '.join(taking)} wrote under the criteria that texts are scored by."
    if equal := [each.name for each in policies if each.at_equal_tokens]:
        yield (
            f"{', '.join(equal)} may spend on a text what the most expensive of the others "
            "spent on it, and write at least one draft."
        )
    for each in policies:
        if each.training is None or each.at_equal_tokens:
            continue
        if each.training.prompt != reading and not each.graph:
            yield (
                f"Policy {each.name} was trained on the prompt {each.training.prompt!r}, and reads "
                f"{reading!r} here."
            )
        if overlap := seen_in_training(each, tasks, trained_requests(each.training)):
            yield overlap


def _takes_criteria(policy: Policy) -> bool:
    return "criteria_set" in parts_of(policy_graph(policy), "input_schema")


def sharing(judge: BackendSpec, policies: Sequence[Policy]) -> BackendSpec:
    """The judge on the engine of a policy with the same model, if there is one.

    An engine that was started for adapters serves the bare model as well.
    """
    for each in policies:
        options = dict(each.model.options)
        option = rank_option(each.model)
        if option is not None and option not in judge.options:
            options.pop(option, None)
        if each.model.model_copy(update={"options": options}) == judge:
            return each.model
    return judge


def _digest(policy: Policy) -> str:
    assert policy.adapter is not None
    return hashlib.sha256((policy.adapter / WEIGHTS).read_bytes()).hexdigest()
