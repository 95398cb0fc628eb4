"""`quillgraph eval …` and `scorer …`."""
