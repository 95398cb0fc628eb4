"""The command `quillgraph`: thin, imports lazily."""
