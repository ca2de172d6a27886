"""Where a mark is found in a database: in which columns, whatever their types."""

from sqlalchemy import Column, LargeBinary, MetaData, text

from shared.database import Database
from shared.personal_data import Register

MARK = "Zyxwvut"
"""In whatever is known of the person who is looked for."""


async def columns_with(database: Database, metadata: MetaData, mark: str = MARK) -> set[tuple[str, str]]:
    """Return the tables and columns that hold the mark in any row, in large or small letters."""
    found = set()
    async with database.quiet_transaction() as tx:
        for table in metadata.tables.values():
            having = ", ".join(f"bool_or({_as_text(column)} ILIKE :mark)" for column in table.columns)
            row = (await tx.execute(text(f"SELECT {having} FROM {table.name}"), {"mark": f"%{mark}%"})).one()
            found |= {
                (table.name, column.name)
                for column, has_mark in zip(table.columns, row, strict=True)
                if has_mark
            }
    return found


def registered(register: Register) -> set[tuple[str, str]]:
    """Return the tables and columns of a register."""
    return {
        (str(held.table.__tablename__), column) for held in register.personal_data for column in held.columns
    }


def _as_text(column: Column[object]) -> str:
    if isinstance(column.type, LargeBinary):
        return f"encode(\"{column.name}\", 'escape')"
    return f'CAST("{column.name}" AS text)'
