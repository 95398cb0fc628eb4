"""Terminal output: studies, episodes, evaluations, stored items."""
