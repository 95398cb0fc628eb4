"""Where lessons and criteria live across processes."""
