"""Who drafts, reflects and revises, and what may stand."""
