"""What is kept of an agent, as a page that the agent can read and print (article 15 of the RGPD)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shared.events.vocabulary import AgentKey
from shared.personal_data import PersonalData, Register
from shared.web import french
from shared.web.rendering import TEMPLATES

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""What is kept, by table: each row by column."""


@dataclass(frozen=True, slots=True)
class KeptTable:
    """What one table keeps of the agent: what for, what each column holds, and its rows."""

    purpose: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ServicePart:
    """What one service keeps of the agent, and its register, which explains it."""

    title: str
    register: Register
    rows: Rows

    @property
    def kept(self) -> list[KeptTable]:
        """What is kept, table by table; the register may have several entries for one."""
        entries: dict[str, list[PersonalData]] = {table: [] for table in self.rows}
        for held in self.register.personal_data:
            entries.get(str(held.table.__tablename__), []).append(held)
        return [
            KeptTable(
                purpose=of_table[0].purpose,
                columns={name: what for held in of_table for name, what in held.columns.items()},
                rows=self.rows[table],
            )
            for table, of_table in entries.items()
        ]


def page(agent: AgentKey, parts: Sequence[ServicePart], now: datetime) -> str:
    """Return the page, in French."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("agent-export.html")
    return template.render(agent=agent, parts=parts, day=french.day(now))
