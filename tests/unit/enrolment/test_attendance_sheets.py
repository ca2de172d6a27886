"""The sheet that people sign: who signs, for which half-days, and for how long."""

import asyncio
import io
import threading
from datetime import datetime, timedelta
from typing import Any

import pypdf
import pytest

from services.enrolment.render import attendance_sheets
from services.enrolment.render.attendance_sheets import render, sheet_of, texts_of
from shared.events.catalogue import SessionState
from shared.references import reference_of
from tests.support.builders import STARTS, a_session, an_agent

BOTH, ONE = ["Signature, matin", "Signature, après-midi"], ["Signature"]


def lasting(start: str, end: str, **more: Any) -> SessionState:
    """``9:30``, or days after the first: ``+1 17:00``."""
    midnight = STARTS.replace(hour=0, minute=0) - timedelta(hours=2)  # in Paris

    def moment(text: str) -> datetime:
        *days, time = text.split()
        hours, minutes = time.split(":")
        return midnight + timedelta(days=sum(map(int, days)), hours=int(hours), minutes=int(minutes))

    return a_session(starts_at=moment(start), ends_at=moment(end), **more)


def sittings(session: SessionState) -> list[tuple[str, list[str]]]:
    return [(sitting["length"], sitting["signed"]) for sitting in texts_of(session, [], STARTS)["sittings"]]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("9:30", "17:00", [("7\u00a0h\u00a030", BOTH)]),
        ("9:30", "12:30", [("3\u00a0h", ONE)]),
        ("14:00", "17:00", [("3\u00a0h", ONE)]),
        ("12:00", "14:00", [("2\u00a0h", ONE)]),
        ("9:30", "+1 17:00", [("7\u00a0h\u00a030", BOTH)] * 2),
        ("9:30", "+4 12:00", [("2\u00a0h\u00a030", ONE)] * 5),
        ("9:30", "+5 17:00", [("", ONE)]),  # a MOOC
        ("20:00", "+1 6:00", [("", ONE)]),
    ],
)
def test_each_day_is_signed_by_half_days(start: str, end: str, expected: list[tuple[str, list[str]]]) -> None:
    assert sittings(lasting(start, end)) == expected


def test_each_seance_is_signed() -> None:
    modules = [{"title": "Un", "starts_at": STARTS, "ends_at": STARTS + timedelta(hours=3)}] * 2
    assert sittings(a_session(modules=modules)) == [("3\u00a0h", ONE)] * 2


def test_trainers_sign_too_and_the_sheet_says_which_session_it_is() -> None:
    session = a_session()
    pdf = render(session, [an_agent(family_name="Élie")], STARTS)
    page = pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text()
    assert page.count("Signature, matin") == 2
    expected = ("Élie", "Formatrices et formateurs", f"Référence {reference_of(session.session_id)}")
    assert [phrase for phrase in expected if phrase not in page] == []


async def test_one_sheet_is_set_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendance_sheets, "render", lambda *_: threading.current_thread().name.encode())
    threads = await asyncio.gather(*(sheet_of(a_session(), [], STARTS) for _ in range(3)))
    assert threads == [b"sheets_0"] * 3
