"""Measures judges' agreement with people, probes them for biases, and trains them."""

from quillgraph.evals.judges.evaluation import (
    JudgeOptions,
    JudgeResults,
    evaluate_judge,
    refuse_unjudged,
)
from quillgraph.evals.judges.probes import (
    CHANGES,
    DEGENERATE,
    ProbeResult,
    probe_change,
    probe_degenerate,
    probe_position,
    probe_retest,
    texts_for_probes,
)
from quillgraph.evals.judges.report import JudgeReport, judge_report, requirement_of, unmet
from quillgraph.evals.judges.scores import HumanDataScorer, JudgedText, ScoredPair
from quillgraph.evals.judges.tables import (
    judge_exclusions,
    judge_markdown,
    judge_rows,
    plot_curve,
    probe_rows,
)
from quillgraph.evals.judges.training import (
    EMBEDDER,
    LAYERS,
    READER,
    Material,
    Trained,
    train_scorer,
)

__all__ = [
    "CHANGES",
    "DEGENERATE",
    "EMBEDDER",
    "LAYERS",
    "READER",
    "HumanDataScorer",
    "JudgeOptions",
    "JudgeReport",
    "JudgeResults",
    "JudgedText",
    "Material",
    "ProbeResult",
    "ScoredPair",
    "Trained",
    "evaluate_judge",
    "judge_exclusions",
    "judge_markdown",
    "judge_report",
    "judge_rows",
    "plot_curve",
    "probe_change",
    "probe_degenerate",
    "probe_position",
    "probe_retest",
    "probe_rows",
    "refuse_unjudged",
    "requirement_of",
    "texts_for_probes",
    "train_scorer",
    "unmet",
]
