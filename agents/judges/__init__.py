"""From a text to verdicts and one reward."""
