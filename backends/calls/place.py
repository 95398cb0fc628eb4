"""The place of a call in a graph, in names that are the same in every run."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Place(BaseModel):
    """The role, nodes and branch that make a call, read from the call's metadata.

    LangGraph's own name of a task (`langgraph_checkpoint_ns`) holds ids that are new in
    each run. Only the names of its nodes are kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str | None = None
    nodes: tuple[str, ...] = ()
    """Nodes around the call, outermost first; empty outside of a graph."""
    branch: str = ""
    """Which of the parallel visits of the innermost node: the position of its `Send` among those
    of the step. Empty for a node that no `Send` started."""

    @classmethod
    def of(cls, metadata: Mapping[str, Any] | None) -> Self:
        """Read the place off a call's metadata."""
        fields = metadata or {}
        spaces = str(fields.get("langgraph_checkpoint_ns") or "").split("|")
        path = fields.get("langgraph_path") or ()
        is_sent = path and path[0] == "__pregel_push"
        return cls(
            role=fields.get("role"),
            nodes=tuple(name for space in spaces if (name := space.split(":")[0])),
            branch="/".join(_flat(path[1:])) if is_sent else "",
        )

    def __str__(self) -> str:
        where = f"node {'/'.join(self.nodes)}" if self.nodes else "no node"
        branch = f", branch {self.branch}" if self.branch else ""
        return f"{where}{branch}" + (f", role {self.role}" if self.role else "")


def _flat(path: Any) -> list[str]:
    """The numbers and names of a path that may hold paths."""
    if isinstance(path, tuple | list):
        return [part for each in path for part in _flat(each)]
    return [] if isinstance(path, bool) else [str(path)]
