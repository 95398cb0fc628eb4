"""Checkpoints, logs, evaluations, curves and guards of a run."""
