"""A connection is the same wherever the server stands."""

from sqlalchemy import text

from shared.database import Database


async def test_days_of_an_interval_have_24_hours_wherever_the_server_is(database: Database) -> None:
    """The longest session is looked for so; on the night of 30 March a day in Paris has 23."""
    async with database.transaction() as tx:
        await tx.execute(text(f"ALTER DATABASE \"{database.url.database}\" SET timezone TO 'Europe/Paris'"))
    again = Database(str(database.url.render_as_string(hide_password=False)), application_name="test")
    query = (
        "SELECT timestamptz '2025-04-11T22:00Z' - interval '25 days 23:00' = timestamptz '2025-03-16T23:00Z'"
    )
    async with again.quiet_transaction() as tx:
        assert await tx.scalar(text(query)) is True
    await again.close()
