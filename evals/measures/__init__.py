"""Agreement, intervals, matching."""
