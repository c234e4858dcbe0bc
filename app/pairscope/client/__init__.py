"""The client's side of the pool: the way in, requests and their answers, and whether all that the pool needs is
there."""
