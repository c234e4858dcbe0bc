"""The journal: a local, crash-safe, bounded log between the supervisor, its only writer, and the recorder, its
reader."""
