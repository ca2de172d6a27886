"""``dead-letters list | show | redrive | discard``."""

from typing import Annotated, Literal

import typer

from shared import read_log
from shared.cli.decisions import (
    BIGGEST_ID,
    Actor,
    Everything,
    Ids,
    OfTopic,
    ReaderOption,
    chosen,
    echo_list,
    echo_whole,
)
from shared.cli.definition import Definition, in_process
from shared.messaging import dead_letters
from shared.messaging.dead_letter_decisions import DeadLetterDecisions
from shared.messaging.dead_letters import DeadLetter
from shared.messaging.mentions import agents_in
from shared.process import Process
from shared.read_log import Reading, ReadKind

_State = Literal["parked", "redriven", "discarded", "rejected"]


def add_to(app: typer.Typer, definition: Definition) -> None:
    group = typer.Typer(help="Records that could not be handled.", no_args_is_help=True)

    @group.command("list", help="What is parked, and why.")
    def list_(
        state: Annotated[_State, typer.Option()] = "parked",
        topic: OfTopic = None,
        limit: Annotated[int, typer.Option(min=1)] = 100,
    ) -> None:
        echo_list(definition, dead_letters.find, _line, topic=topic, state=state, limit=limit)

    @group.command("show", help="One dead letter, whole: it may hold personal data.")
    def show(dead_letter_id: Annotated[int, typer.Argument(min=1, max=BIGGEST_ID)], by: ReaderOption) -> None:
        echo_whole(
            definition,
            lambda process: _read(process, dead_letter_id, by),
            _page,
            missing=f"There is no dead letter {dead_letter_id}.",
        )

    @group.command("redrive", help="Handle again, through the same handler and inbox, in order.")
    def redrive(by: Actor, ids: Ids = None, everything: Everything = False, topic: OfTopic = None) -> None:
        letters = chosen(definition, dead_letters.find, "parked", ids=ids, everything=everything, topic=topic)
        done = in_process(definition, lambda process: _redrive_all(process, letters, by))
        typer.echo(f"{done} redriven, {len(letters) - done} still parked")
        if done < len(letters):
            raise SystemExit(1)

    @group.command("discard", help="Give up on records, for a reason that is kept.")
    def discard(
        reason: Annotated[str, typer.Option(help="Why nothing is lost by it.")],
        by: Actor,
        ids: Ids = None,
        everything: Everything = False,
        topic: OfTopic = None,
    ) -> None:
        letters = chosen(definition, dead_letters.find, "parked", ids=ids, everything=everything, topic=topic)
        in_process(
            definition,
            lambda process: _decisions(process).discard(letters, actor=by, reason=reason),
        )
        typer.echo(f"{len(letters)} discarded")

    app.add_typer(group, name="dead-letters")


async def _read(process: Process, dead_letter_id: int, by: str) -> DeadLetter | None:
    async with process.database.quiet_transaction() as tx:
        for letter in await dead_letters.find(tx, ids=[dead_letter_id], limit=1):
            issuer = None if letter.portal is None else process.eraser.issuer_of(letter.portal)
            agents = agents_in(letter.record.value, issuer)
            await read_log.record(
                tx, Reading.by_command(by), ReadKind.DEAD_LETTER, agents=agents, about=[letter.id]
            )
            return letter
    return None


async def _redrive_all(process: Process, letters: list[DeadLetter], actor: str) -> int:
    failed = await _decisions(process).redrive(letters, actor=actor)
    for letter_id, why in failed.items():
        typer.echo(f"{letter_id}: {on_one_line(why)}", err=True)
    return len(letters) - len(failed)


def _decisions(process: Process) -> DeadLetterDecisions:
    return DeadLetterDecisions(process.database, process.router, process.consumer)


def _line(letter: DeadLetter) -> str:
    record = letter.record
    position = f"{record.topic}/{record.partition}@{record.offset}"
    parked_at = f"{letter.parked_at:%Y-%m-%d %H:%M:%S}Z"
    event_type, error = on_one_line(letter.event_type or "?"), on_one_line(letter.error)
    return "\t".join([str(letter.id), parked_at, position, event_type, error])


def _page(letter: DeadLetter) -> str:
    record = letter.record
    lines = [
        _line(letter),
        f"state     {letter.state}",
        f"received  {record.received_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        f"key       {printable(record.key)}",
        *(f"header    {on_one_line(name)}: {printable(value)}" for name, value in record.headers),
        f"value     {printable(record.value)}",
    ]
    return "\n".join([*lines, *(on_one_line(line) for line in (letter.traceback or "").splitlines())])


def printable(value: bytes | None) -> str:
    return "null" if value is None else on_one_line(value.decode(errors="backslashreplace"))


def on_one_line(text: str) -> str:
    """Escape the sender's text, so that it can neither move the cursor of a terminal nor fake a line."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
