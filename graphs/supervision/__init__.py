"""A run with its models, its folder, its limits, and its end."""

from quillgraph.graphs.supervision.answers import (
    FAILURES,
    read_answers,
    refuse_unknown_questions,
)
from quillgraph.graphs.supervision.budget import (
    charge_earlier,
    node_allowances,
)
from quillgraph.graphs.supervision.diagram import draw_png, mermaid_of
from quillgraph.graphs.supervision.engines import (
    JUDGES,
    Engines,
    common_plays,
    connect_engines,
    recorded,
)
from quillgraph.graphs.supervision.folder import (
    RunFolder,
    alone_in,
    goes_on_as_begun,
)
from quillgraph.graphs.supervision.inputs import (
    KEPT,
    Inputs,
    inputs_of,
    kept_inputs,
)
from quillgraph.graphs.supervision.supervisor import (
    Watch,
    Work,
    supervise,
)

__all__ = [
    "FAILURES",
    "JUDGES",
    "KEPT",
    "Engines",
    "Inputs",
    "RunFolder",
    "Watch",
    "Work",
    "alone_in",
    "charge_earlier",
    "common_plays",
    "connect_engines",
    "draw_png",
    "goes_on_as_begun",
    "inputs_of",
    "kept_inputs",
    "mermaid_of",
    "node_allowances",
    "read_answers",
    "recorded",
    "refuse_unknown_questions",
    "supervise",
]
