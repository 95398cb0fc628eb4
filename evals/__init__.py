"""Are the criteria, the judge and the policy any good?"""

from quillgraph.evals.data.loader import Loaded, load
from quillgraph.evals.data.records import (
    HumanCriterion,
    Preference,
    RatedText,
    RubricRequest,
)
from quillgraph.evals.judges.calibration import Calibration, curve, fit, leniency
from quillgraph.evals.measures.agreement import (
    cohen_kappa,
    krippendorff_alpha,
    pair_accuracy,
    spearman,
    spearman_within,
)
from quillgraph.evals.measures.intervals import Estimate, cluster_bootstrap, paired_bootstrap

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
    "curve",
    "fit",
    "krippendorff_alpha",
    "leniency",
    "load",
    "pair_accuracy",
    "paired_bootstrap",
    "spearman",
    "spearman_within",
]
