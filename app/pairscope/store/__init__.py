"""The record: tables, migrations, and queries named by the question that they answer. Only the recorder writes
history."""
