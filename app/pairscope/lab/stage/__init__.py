"""The stage: real processes that carry out a scenario, and the manager that looks at them. docs/lab.md tells how a run
is made."""
