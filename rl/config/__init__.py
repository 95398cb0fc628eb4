"""The configuration of a run: YAML, requests, criteria, episodes."""

from quillgraph.rl.config.requests import read_requests
from quillgraph.rl.config.run import TrainConfig, load_config

__all__ = [
    "TrainConfig",
    "load_config",
    "read_requests",
]
