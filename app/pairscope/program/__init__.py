"""Programs that are handed in as their source: docs/programs.md."""
