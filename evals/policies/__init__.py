"""Models, adapters and graphs against each other."""

from quillgraph.evals.policies.contest import Contest, sharing
from quillgraph.evals.policies.kinship import refuse_training_judge, reservations, seen_in_training
from quillgraph.evals.policies.policy import Policy, read_policies
from quillgraph.evals.policies.records import ComparedTexts, ScoredText, TextKey, WrittenText
from quillgraph.evals.policies.report import (
    OF_TEXTS,
    OF_WINS,
    Entrant,
    PolicyReport,
    measure_names,
    policy_report,
)
from quillgraph.evals.policies.scores import compare_texts, score_text
from quillgraph.evals.policies.writers import (
    MEASURES,
    Reading,
    Writer,
    heard,
    policy_graph,
    writer_for,
)
from quillgraph.evals.policies.writingbench import response_scores, responses

__all__ = [
    "MEASURES",
    "OF_TEXTS",
    "OF_WINS",
    "ComparedTexts",
    "Contest",
    "Entrant",
    "Policy",
    "PolicyReport",
    "Reading",
    "ScoredText",
    "TextKey",
    "Writer",
    "WrittenText",
    "compare_texts",
    "heard",
    "measure_names",
    "policy_graph",
    "policy_report",
    "read_policies",
    "refuse_training_judge",
    "reservations",
    "response_scores",
    "responses",
    "score_text",
    "seen_in_training",
    "sharing",
    "writer_for",
]
