"""Is a judge any good, and how is one trained."""

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
    "JudgeReport",
    "JudgedText",
    "Material",
    "ProbeResult",
    "ScoredPair",
    "Trained",
    "judge_report",
    "probe_change",
    "probe_degenerate",
    "probe_position",
    "probe_retest",
    "requirement_of",
    "texts_for_probes",
    "train_scorer",
    "unmet",
]
