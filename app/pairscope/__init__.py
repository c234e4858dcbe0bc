"""Pairscope: a dashboard that shows Unix inter-process communication while it really happens."""

__version__ = "0.1.0"
