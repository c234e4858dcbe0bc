"""Live: one process that holds the connections of all who follow a page, and pushes to them what is committed.

docs/live.md says how, and why.
"""
