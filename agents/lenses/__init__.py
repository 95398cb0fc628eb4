"""Sensitizing concepts: what a small model chooses from."""
