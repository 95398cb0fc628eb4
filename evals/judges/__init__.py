"""Judges: how well they agree with people, what fools them, and how one is trained."""

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
    "judge_report",
    "probe_change",
    "probe_degenerate",
    "probe_position",
    "probe_retest",
    "refuse_unjudged",
    "requirement_of",
    "texts_for_probes",
    "train_scorer",
    "unmet",
]
