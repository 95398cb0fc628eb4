"""placeholder until the rules are there."""
from collections.abc import Sequence
from pydantic import BaseModel, ConfigDict
from quillgraph.agents.checkers import Check

class Constraint(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    description: str
    check: Check
    incident_id: str
    quote: str

def find_constraints(incidents: Sequence[object]) -> tuple[Constraint, ...]:
    return ()
