"""What a worker runs: its loop, what a kind of job is, and one small file for each kind."""
