"""Criteria written, tried, kept or refused."""
