"""What people said, in which files."""
