"""What Alembic runs: upgrades on the engine that it is given, in one transaction where the database can."""

from alembic import context

from ixxsms.db import altering
from ixxsms.models import Base

with altering(context.config.attributes["engine"]) as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
