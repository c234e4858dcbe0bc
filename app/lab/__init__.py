"""The lab: scenarios run by real processes, and what the kernel held after each step. docs/lab.md tells how."""
