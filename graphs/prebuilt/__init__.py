"""Graphs that write and judge, and nodes for your own."""
