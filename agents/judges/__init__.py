"""From a text to verdicts and one reward."""

from quillgraph.agents.judges.gate import refusal
from quillgraph.agents.judges.markup import plain, text_for_judge
from quillgraph.agents.judges.pairwise import (
    PairComparison,
    PairJudge,
    PairPlace,
    PromptedPairJudge,
)
from quillgraph.agents.judges.prompted import (
    MOST_TEXT_CHARS,
    NOTHING,
    SAMPLES,
    Ballot,
    Exhibit,
    Judge,
    PromptedJudge,
)
from quillgraph.agents.judges.rewards import (
    LENGTH_SHARE,
    SOFT_SHARE,
    length_range,
    repetition_term,
    reward,
    weighted_score,
)
from quillgraph.agents.judges.scorer_folder import (
    ModelName,
    ScorerConfig,
    ScorerWeights,
    read_scorer,
    relevance_measures,
    shipped,
    write_scorer,
)
from quillgraph.agents.judges.trained import KIND, Reader, is_scorer, subject, trained_judge
from quillgraph.agents.judges.votes import Standing, pooled, tally, votes_of

__all__ = [
    "KIND",
    "LENGTH_SHARE",
    "MOST_TEXT_CHARS",
    "NOTHING",
    "SAMPLES",
    "SOFT_SHARE",
    "Ballot",
    "Exhibit",
    "Judge",
    "ModelName",
    "PairComparison",
    "PairJudge",
    "PairPlace",
    "PromptedJudge",
    "PromptedPairJudge",
    "Reader",
    "ScorerConfig",
    "ScorerWeights",
    "Standing",
    "is_scorer",
    "length_range",
    "plain",
    "pooled",
    "read_scorer",
    "refusal",
    "relevance_measures",
    "repetition_term",
    "reward",
    "shipped",
    "subject",
    "tally",
    "text_for_judge",
    "trained_judge",
    "votes_of",
    "weighted_score",
    "write_scorer",
]
