"""What policies are compared on: fixed before the first text is written."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quillgraph.backends.spec import BackendSpec
from quillgraph.evals.data.prompts import Prompt
from quillgraph.evals.policies.policy import Policy, rank_option
from quillgraph.evals.policies.writers import Reading

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Contest:
    """Policies, prompts and the judge of a comparison."""

    data: str
    """Name of the file."""
    data_format: str
    prompts: tuple[Prompt, ...]
    criteria: str
    """Where the soft criteria come from."""
    policies: tuple[Policy, ...]
    """The first is what the others are compared with."""
    judge: BackendSpec
    texts: int
    """Texts of each policy for each prompt."""
    reading: Reading
    notes: tuple[str, ...] = ()
    excluded: Mapping[str, int] = field(default_factory=dict)

    @property
    def reference(self) -> Policy:
        """What the others are compared with."""
        return self.policies[0]

    @property
    def wanted(self) -> int:
        """Texts in all."""
        return len(self.policies) * len(self.prompts) * self.texts

    @property
    def in_turn(self) -> tuple[Policy, ...]:
        """The policies in an order in which engines change as seldom as can be.

        Those at equal tokens come last, since the others' costs must be known, and before the judge
        comes whoever shares its engine.
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
            "texts": self.texts,
            "prompt": self.reading,
        }


def sharing(judge: BackendSpec, policies: Sequence[Policy]) -> BackendSpec:
    """The judge on the engine of a policy that has its model, where there is one.

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
