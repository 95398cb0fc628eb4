"""A run recorded, and played back without a model."""
