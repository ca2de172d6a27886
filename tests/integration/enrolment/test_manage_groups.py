"""Who was enrolled together, on the page of organisers."""

from uuid import uuid4

import pytest

from services.enrolment.rules.requests import GroupRequest, Nomination
from shared import clock
from tests.integration.enrolment.conftest import Front
from tests.integration.enrolment.manage import OrganiserClient, page_of, text_of
from tests.support.builders import an_agent, open_now


async def test_a_list_is_shown_with_whom_it_replaced(front: Front, organiser: OrganiserClient) -> None:
    zoe, loic = an_agent(family_name="Durand"), an_agent(family_name="Le Goff")
    siret = zoe.employer.siret
    session = open_now(format="bespoke", audience={"sirets": [siret]})
    await front.publish(session)
    for named in ((zoe,), (loic,)):
        await front.answer(Nomination(uuid4(), clock.now(), session.session_id, named, siret))
    page = text_of(await organiser.get(page_of(session, "/groupes")))
    newer, older = page.split(f"Liste · {loic.employer.name}")[1:]
    assert newer.index("Le Goff") < newer.index("Remplacée par cette liste") < newer.index("Durand")
    assert "Durand" in older
    assert "Remplacée par cette liste" not in older


async def test_a_group_is_shown_together_and_others_are_not(front: Front, organiser: OrganiserClient) -> None:
    group = an_agent(family_name="Durand"), an_agent(family_name="Le Goff")
    session = open_now(capacity=1, waiting_list="automatic")
    await front.publish(session)
    await front.enrol(session, an_agent(family_name="Bernard"))
    await front.answer(GroupRequest(uuid4(), clock.now(), session.session_id, group, all_or_nothing=False))
    page = text_of(await organiser.get(page_of(session, "/groupes")))
    assert f"Groupe · {group[0].employer.name}" in page
    assert "2 personnes" in page
    assert page.index("Durand") < page.index("Le Goff")
    assert "Bernard" not in page


async def test_that_some_of_the_groups_are_left_out_is_said(
    front: Front, organiser: OrganiserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_now()
    await front.publish(session)
    group = an_agent(), an_agent()
    await front.answer(GroupRequest(uuid4(), clock.now(), session.session_id, group, all_or_nothing=False))
    for most, is_said in ((2, False), (1, True)):
        monkeypatch.setattr("services.enrolment.pages.manage.roster.TOGETHER", most)
        page = text_of(await organiser.get(page_of(session, "/groupes")))
        assert ("dans les plus anciens, certaines manquent" in page) == is_said, most
