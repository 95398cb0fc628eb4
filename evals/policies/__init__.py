"""Compares models, adapters and graphs."""

from quillgraph.evals.policies.comparison import (
    PolicyComparison,
    compare_policies,
    refuse_unfit,
)
from quillgraph.evals.policies.contest import Contest, ContestOptions, read_contest
from quillgraph.evals.policies.engines import EngineTurns
from quillgraph.evals.policies.policy import Policy, read_policies
from quillgraph.evals.policies.records import ComparedTexts, ScoredText, WrittenText
from quillgraph.evals.policies.report import (
    OF_TEXTS,
    OF_WINS,
    Entrant,
    PolicyReport,
    measure_names,
    policy_report,
)
from quillgraph.evals.policies.results import PolicyResults
from quillgraph.evals.policies.tables import (
    against_rows,
    legend,
    plot_policies,
    policies_markdown,
    policy_exclusions,
    policy_rows,
)
from quillgraph.evals.policies.writers import Reading

__all__ = [
    "OF_TEXTS",
    "OF_WINS",
    "ComparedTexts",
    "Contest",
    "ContestOptions",
    "EngineTurns",
    "Entrant",
    "Policy",
    "PolicyComparison",
    "PolicyReport",
    "PolicyResults",
    "Reading",
    "ScoredText",
    "WrittenText",
    "against_rows",
    "compare_policies",
    "legend",
    "measure_names",
    "plot_policies",
    "policies_markdown",
    "policy_exclusions",
    "policy_report",
    "policy_rows",
    "read_contest",
    "read_policies",
    "refuse_unfit",
]
