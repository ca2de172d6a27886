"""All databases are lost, and put back by ``deploy/backup``: who was answered stays so, letters leave once.

Twice, on an Apache Kafka and a Postgres of their own, with a relay that counts. With the archived WAL, while
the broker's disk is as it was a while ago: nothing that was answered is lost. Without, each database as it
was at another moment, while the broker has gone on: lost is exactly what was answered by a link or by hand
since. An operator does what docs/operations.md says.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from services.enrolment.restores import read_published, reconcile
from shared import clock
from shared.database import Database
from shared.messaging.broker import KafkaSettings
from shared.web.links import Purpose
from tests.proof.trials.installation import Installation, TrialResult, an_installation, until
from tests.proof.trials.users import HowThingsStand, Stands, Users, an_hour_ago, services_of
from tests.support.archive import Archive, an_archive
from tests.support.kafka import KafkaPortal
from tests.support.processes import SERVICES
from tests.support.smtp import scripted_relay

CROWD = 60
"""Agents who ask for a seat between two backups."""
SEATS = 10 * CROWD
BY_HAND = "by-hand@ville-exemple.fr"
LETTERS = 4 * CROWD + 8
"""Until the last crowd: a confirmation each, six to the three of the small session, and two more."""
WhatIsLost = Mapping[tuple[str, ...], tuple[str, str | None]]
"""How things stood, and how they stand."""


def play() -> TrialResult:
    return TrialResult([*_play(with_wal=True), *_play(with_wal=False)])


def _play(*, with_wal: bool) -> list[str]:
    title = "with the archived WAL" if with_wal else "without archived WAL"
    print(f"        --- restored {title}", flush=True)
    with (
        an_installation(*SERVICES, durable=True) as installation,
        an_archive(installation.postgres) as archive,
    ):
        faults = asyncio.run(_lose_and_restore(installation, archive, with_wal=with_wal))
        if faults:
            for service in SERVICES:
                print((installation.folder / f"{service}.log").read_text()[-3000:], flush=True)
        return [f"{title}: {fault}" for fault in faults]


async def _lose_and_restore(installation: Installation, archive: Archive, *, with_wal: bool) -> list[str]:
    async with (
        scripted_relay() as relay,
        KafkaPortal(installation.kafka.bootstrap_servers) as portal,
    ):
        if with_wal:
            archive.receive()
        users = Users(installation, portal, relay, services_of(installation, relay))
        try:
            bases, disk = await _until_the_backups(users, archive)
            await _since_the_backups(users)
            before = users.stands()
            await users.ask_for_seats("large", CROWD)
            await users.until_enrolments(len(before.enrolments) + 1)
            log = await _crash(users, archive)
            if with_wal:
                faults = await _restore_by_wal(users, archive, disk)
            else:
                faults = await _restore_base_backups(users, archive, bases)
            users.start()
            await until(users.has_read_all, "all is read")
            await users.ask_again()
            faults += await _follow_up(users, log)
            faults += await _what_is_lost(users, before, with_wal=with_wal)
            faults += await _repeat(users)
            return faults + _twice(users)
        finally:
            users.stop()


# ---------------------------------------------------------------------------------------- until the crash


async def _until_the_backups(users: Users, archive: Archive) -> tuple[list[str], Path]:
    """Play until three base backups are made, and return them with a copy of the broker's disk between."""
    assert not await users.run("catalogue", "load-offer")
    await asyncio.to_thread(users.start)
    await users.publish_session("large", SEATS)
    await users.publish_session("small", 1)
    kafka = users.installation.kafka
    disk = users.installation.folder / "broker"
    for number in range(1, 4):
        await users.ask_for_seats("large", CROWD)
        await users.until_letters(CROWD * number - CROWD // 2)
        await asyncio.to_thread(archive.back_up)
        if number == 2:
            await asyncio.to_thread(kafka.stop)
            await asyncio.to_thread(shutil.copytree, kafka.directory / "data", disk)
            await asyncio.to_thread(kafka.start)
    return archive.bases(), disk


async def _since_the_backups(users: Users) -> None:
    """Play on: by Kafka, by the links of letters, and by hand."""
    await users.ask_for_seats("large", CROWD)
    [first] = await users.ask_for_seats("small", 1)
    [next_in_line] = await users.ask_for_seats("small", 1)
    await users.ask_for_training()
    await users.until_letters(4 * CROWD + 3)
    await users.withdraw("small", first)
    await users.press(Purpose.OFFER, next_in_line.email, reponse="oui")
    await users.press(Purpose.WITHDRAW, users.agents["large"][0].email, confirmer="oui")
    await users.enrol_by_hand("large", BY_HAND)
    await users.change_capacity("large", SEATS + 1)
    await users.publish_session("new", 5)
    await users.until_letters(LETTERS)


async def _crash(users: Users, archive: Archive) -> Path:
    """Kill all services and Postgres, whose disk is lost. Returns the relay's log."""
    for service in users.services.values():
        service.process.kill()
    users.installation.postgres.kill()
    archive.stop()
    archive.lose_disk()
    log = users.installation.folder / "relay.log"
    log.write_text("".join(f"cleanup: message-id={mail.message_id}\n" for mail in users.relay.taken))
    return log


# ----------------------------------------------------------------------------------------- the restoration


async def _restore_by_wal(users: Users, archive: Archive, disk: Path) -> list[str]:
    """All that was archived; the broker's disk is the copy. Returns what went wrong."""
    kafka = users.installation.kafka
    published = await read_published(
        KafkaSettings(kafka_bootstrap_servers=kafka.bootstrap_servers), clock.now() - timedelta(hours=1)
    )
    await asyncio.to_thread(kafka.kill)
    shutil.rmtree(kafka.directory / "data")
    shutil.copytree(disk, kafka.directory / "data")
    await asyncio.to_thread(kafka.start)
    await asyncio.to_thread(archive.restore_all)
    await asyncio.to_thread(users.installation.postgres.restart)
    archive.receive()
    database = Database(users.installation.urls["enrolment"], application_name="faults")
    lost = await reconcile(database, published)
    await database.close()
    print(
        f"        {len(published)} agents had an answer, {len(lost)} of them have none any more", flush=True
    )
    return [
        *(f"{decision.published} was published and is lost" for decision in lost),
        *await users.rewind(),
        *await users.in_each("outbox", "replay", "--since", an_hour_ago()),
    ]


async def _restore_base_backups(users: Users, archive: Archive, bases: list[str]) -> list[str]:
    """Each database as it was at another moment. Returns what went wrong."""
    await asyncio.to_thread(archive.restore_all)
    await asyncio.to_thread(users.installation.postgres.restart)
    for service, base in zip(("catalogue", "notifier"), bases, strict=False):
        await asyncio.to_thread(archive.restore, service, "--base", base)
    return await users.rewind()


async def _follow_up(users: Users, log: Path) -> list[str]:
    """What an operator does once all is read. Returns what went wrong."""
    rebuilt = await _rebuild(users, "enrolment")
    reconciled = await users.reconcile_mails("--relay-log", str(log))
    everybody = {agent.email for agent in users.agents["large"]}

    async def have_all() -> bool:
        seated = {key[2] for key in users.stands().enrolments if key[1] == users.sessions["large"]}
        reached = {mail.recipient for mail in users.relay.taken} | users.in_hands()
        return everybody <= seated and everybody <= reached

    await until(have_all, "everybody has an answer and a letter")
    return [*rebuilt, *reconciled, *await users.run("enrolment", "projections", "verify")]


# ------------------------------------------------------------------------------------------- what is lost


async def _what_is_lost(users: Users, before: Stands, *, with_wal: bool) -> list[str]:
    """What is lost and should not be, or is not said by the commands that are to say it."""
    after = users.stands()
    enrolments = {} if with_wal else _lost_enrolments(users, before)
    sessions = {} if with_wal else _lost_sessions(users)
    reconcile = await users.run("enrolment", "enrolments", "reconcile", "--since", an_hour_ago())
    verify = await users.run("catalogue", "projections", "verify")
    named = {key[0] for key in before.enrolments if key[0] in "".join(reconcile)}
    shown = {key for key in before.catalogue if key[1] in "".join(verify)}
    faults = [
        *_compared(before.enrolments, after.enrolments, enrolments),
        *_compared(before.catalogue, after.catalogue, sessions),
    ]
    if named != {key[0] for key in enrolments}:
        faults.append(f"reconcile names {named}")
    if shown != set(sessions):
        faults.append(f"verify shows {shown}")
    return faults


def _lost_enrolments(users: Users, before: Stands) -> WhatIsLost:
    """What was answered by a link or by hand since the backup."""
    leaving, accepting = users.agents["large"][0].email, users.agents["small"][1].email
    lost = {
        leaving: ("withdrawn", "enrolled"),
        accepting: ("enrolled", "offered"),
        BY_HAND: ("enrolled", None),
    }
    return {key: lost[key[2]] for key in before.enrolments if key[2] in lost}


def _lost_sessions(users: Users) -> WhatIsLost:
    """What an organiser did by hand since the backup."""
    return {
        ("session", users.sessions["large"]): (str(SEATS + 1), str(SEATS)),
        ("session", users.sessions["new"]): ("5", None),
    }


def _compared(before: HowThingsStand, after: HowThingsStand, expected: WhatIsLost) -> list[str]:
    lost = {key: (stood, after.get(key)) for key, stood in before.items() if after.get(key) != stood}
    for key, (stood, stands) in lost.items():
        print(f"        lost: {' '.join(key)} was {stood}, is {stands}", flush=True)
    return [
        f"{key}: lost {lost.get(key)}, expected {expected.get(key)}"
        for key in lost.keys() | expected.keys()
        if lost.get(key) != expected.get(key)
    ]


async def _rebuild(users: Users, service: str) -> list[str]:
    """Rebuild its projections. Returns what went wrong; what differs then is for ``verify`` to say."""
    complaints = await users.run(service, "projections", "rebuild")
    return [complaint for complaint in complaints if " differences. " not in complaint]


async def _repeat(users: Users) -> list[str]:
    """Have a change heard of that is made once more, whatever was said before. Returns what went wrong."""
    rebuilt = await _rebuild(users, "catalogue")
    await users.change_capacity("large", SEATS + 2)
    capacity = f"SELECT state->>'capacity' FROM session WHERE session_id = '{users.sessions['large']}'"

    async def is_known() -> bool:
        query = users.installation.postgres.execute
        return all(query(capacity, service) == str(SEATS + 2) for service in ("enrolment", "notifier"))

    await until(is_known, "a change that is made once more")
    return rebuilt


def _twice(users: Users) -> list[str]:
    letters = Counter((mail.recipient, str(mail.message["Subject"])) for mail in users.relay.taken)
    print(
        f"        {letters.total()} letters left, {len(users.in_hands())} of which nobody knows", flush=True
    )
    return [f"{times} letters {what}" for what, times in letters.items() if times > 1]
