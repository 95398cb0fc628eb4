"""An episode as rows of tokens, and who earned what."""
