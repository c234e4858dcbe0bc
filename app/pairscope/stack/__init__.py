"""The stack of a box, step by step: what the guides say, what provisioning does, and what the checks look at.
docs/stack.md."""
