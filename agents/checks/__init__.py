"""What code can decide, and how requests word it, a folder per language."""
