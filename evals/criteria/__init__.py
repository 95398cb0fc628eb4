"""Automatic criteria against people's."""
