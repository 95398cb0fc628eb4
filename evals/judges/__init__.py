"""Is a judge any good, and how is one trained."""
