"""The pool: a supervisor of one thread and one selector, its workers, its recorder, and the way in for clients."""
