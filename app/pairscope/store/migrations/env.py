"""Run by Alembic for each command of pairscope.store.migrate, with the connection that it was given."""

from alembic import context

from pairscope.store.models import History, Own

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=[History.metadata, Own.metadata],
    transactional_ddl=context.config.attributes["connection"].dialect.name == "sqlite",
    on_version_apply=context.config.attributes["applied"],
)
with context.begin_transaction():
    context.run_migrations()
