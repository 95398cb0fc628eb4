"""Who writes the texts of a step."""
