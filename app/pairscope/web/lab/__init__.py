"""The lab's pages: running a scenario, and a run read step by step."""
