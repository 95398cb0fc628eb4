"""What outlives an episode: lessons and known criteria."""
