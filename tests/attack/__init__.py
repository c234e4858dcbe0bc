"""Hostile peers: each tries to stop or to drain everybody, and the others' work goes on."""
