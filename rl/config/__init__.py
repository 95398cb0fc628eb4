"""What a run is told: YAML, requests, criteria, episodes."""
