"""The recorder: drains the journal into the database. The only writer of history."""
