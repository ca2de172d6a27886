"""The State's search of companies: what is asked and understood, kept and bounded; no fault shows."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from services.enrolment import employer_search
from services.enrolment.employer_search import MAX_BYTES, EmployerSearch
from shared import clock
from shared.events.vocabulary import Employer
from tests.support.metrics import metric
from tests.support.state_register import PORT, SEAT, StateRegister, state_register

FOUND = Employer(siret="26350999400012", name="REGIE DU PORT DE SAINT-MALO", delegation="bretagne")
OTHER = "26350999400020"


@pytest.fixture(scope="module")
def shared_register() -> Iterator[StateRegister]:
    with state_register() as served:
        yield served


@pytest.fixture
def register(shared_register: StateRegister) -> StateRegister:
    shared_register.mend()
    return shared_register


def searches(result: str) -> float:
    return metric("parcours_employer_searches_total", result=result)


async def test_an_employer_is_found_by_its_name_and_kept_for_a_day(
    register: StateRegister, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, before, now = EmployerSearch(register.url), searches("found"), clock.now()
    assert list(await search.find(" régie  du port ")) == [FOUND]
    assert list(await search.find("régie du port")) == [FOUND]
    [asked] = register.asked
    assert asked["q"] == "régie du port"
    assert {**asked, "q": ""} == {
        "q": "",
        "etat_administratif": "A",
        "minimal": "true",
        "include": "siege,matching_etablissements",
        "per_page": "25",
    }
    assert searches("found") == before + 1
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=2))
    assert list(await search.find("régie du port")) == [FOUND]
    assert len(register.asked) == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, [FOUND]),
        ({"nature_juridique": "5710"}, []),
        ({"nature_juridique": None}, []),
        ({"nom_complet": None}, []),
        ({"siege": {"siret": FOUND.siret, "commune": "35288", "etat_administratif": "F"}}, []),
        ({"siege": {"siret": FOUND.siret, "commune": "99999"}}, []),
        ({"siege": {"siret": FOUND.siret}}, []),
        ({"siege": {"siret": "x", "commune": "35288"}}, []),
        ({"siege": SEAT | {"commune": "97411"}}, ["la-reunion"]),
        ({"siege": SEAT | {"commune": "2A004"}}, ["corse"]),
        ({"matching_etablissements": [{"siret": OTHER, "commune": "29019"}]}, [FOUND]),
    ],
)
async def test_only_a_public_employer_that_is_open_and_lies_in_a_delegation_is_found(
    register: StateRegister, change: dict[str, Any], expected: list[object]
) -> None:
    register.companies = [PORT | change]
    found = await EmployerSearch(register.url).find("port")
    assert [employer if FOUND in expected else employer.delegation for employer in found] == expected


async def test_an_establishment_is_found_by_its_own_siret_and_no_other_stands_for_it(
    register: StateRegister,
) -> None:
    register.companies = [PORT | {"matching_etablissements": [{"siret": OTHER, "commune": "29019"}]}]
    search = EmployerSearch(register.url)
    assert [employer.siret for employer in await search.find_each([OTHER, "21290019500018"])] == [OTHER]


async def test_nothing_is_asked_where_operators_allow_nothing(register: StateRegister) -> None:
    assert list(await EmployerSearch(None).find("port")) == []
    assert list(await EmployerSearch(register.url).find("  ")) == []
    assert register.asked == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": 429},
        {"status": 302},
        {"body": b"{"},
        {"body": b"[]"},
        {"body": b'{"results": [{}]}'},
        {"body": b" " * (MAX_BYTES + 1)},
        {"is_silent": True},
    ],
    ids=str,
)
async def test_a_fault_finds_nothing_and_for_a_minute_nobody_waits_for_it_again(
    register: StateRegister, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    monkeypatch.setattr(employer_search, "SECONDS", 0.2)
    for name, value in wrong.items():
        setattr(register, name, value)
    search, now = EmployerSearch(register.url), clock.now()
    failed, spared = searches("failed"), searches("spared")
    assert list(await search.find("port")) == list(await search.find("port")) == []
    assert (searches("failed"), searches("spared")) == (failed + 1, spared + 1)
    assert len(register.asked) == 1
    register.mend()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=2))
    assert list(await search.find("port")) == [FOUND]


async def test_a_third_search_at_once_is_not_sent(
    register: StateRegister, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(employer_search, "SECONDS", 0.2)
    register.is_silent = True
    search = EmployerSearch(register.url)
    await asyncio.gather(*(search.find(f"port {number}") for number in range(3)))
    assert len(register.asked) == 2


async def test_of_many_searches_the_newest_are_kept(
    register: StateRegister, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(employer_search, "MOST_KEPT", 2)
    search = EmployerSearch(register.url)
    for typed in ("a", "b", "c", "c", "a"):
        await search.find(typed)
    assert [asked["q"] for asked in register.asked] == ["a", "b", "c", "a"]
