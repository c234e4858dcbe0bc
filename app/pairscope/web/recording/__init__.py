"""The pages of a recording of a real program: its passages, and each of its steps. docs/recorder.md, "The pages"."""
