"""What watches a run and writes it down."""
