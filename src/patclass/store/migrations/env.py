"""Run by Alembic: migrate on the connection that the store passes, within its transaction."""

from alembic import context

from patclass.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
context.run_migrations()
