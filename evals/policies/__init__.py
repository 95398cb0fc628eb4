"""Models, adapters and graphs against each other."""
