"""The algorithm on TRL's trainer."""
