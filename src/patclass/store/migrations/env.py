"""Run by Alembic: migrate the connection that the store hands over, in its transaction."""

from alembic import context

from patclass.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
