"""What Alembic runs: upgrades on the engine that it is given, in one transaction where the database can."""

from alembic import context

from ixxsms.models import Base

engine = context.config.attributes["engine"]

with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
