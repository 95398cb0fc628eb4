"""One step of the method each."""
