"""One page that shows a whole run: criteria, texts, scores, calls, curves, tables."""
