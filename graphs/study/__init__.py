"""From a request to a frozen set of criteria."""
