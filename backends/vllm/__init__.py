"""VLLM in this process."""

from quillgraph.backends.vllm.chat import VllmChat

__all__ = [
    "VllmChat",
]
