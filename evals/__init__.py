"""Measures criteria, judges and policies against people and against one another."""

from quillgraph.evals.criteria import compare_criteria, criteria_report
from quillgraph.evals.data.loader import Loaded, load
from quillgraph.evals.data.records import (
    HumanCriterion,
    Preference,
    RatedText,
    RubricRequest,
)
from quillgraph.evals.judges.calibration import Calibration
from quillgraph.evals.judges.evaluation import evaluate_judge
from quillgraph.evals.judges.report import judge_report
from quillgraph.evals.measures.agreement import (
    cohen_kappa,
    krippendorff_alpha,
    pair_accuracy,
    spearman,
    spearman_within,
)
from quillgraph.evals.measures.intervals import Estimate, cluster_bootstrap, paired_bootstrap
from quillgraph.evals.policies import compare_policies, policy_report, read_policies

__all__ = [
    "Calibration",
    "Estimate",
    "HumanCriterion",
    "Loaded",
    "Preference",
    "RatedText",
    "RubricRequest",
    "cluster_bootstrap",
    "cohen_kappa",
    "compare_criteria",
    "compare_policies",
    "criteria_report",
    "evaluate_judge",
    "judge_report",
    "krippendorff_alpha",
    "load",
    "pair_accuracy",
    "paired_bootstrap",
    "policy_report",
    "read_policies",
    "spearman",
    "spearman_within",
]
