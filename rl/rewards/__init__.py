"""From judgements to the rewards of a group."""
