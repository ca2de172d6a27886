"""What organisers do with one enrolment: the effect of each action, by each channel that asks for it."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.enrolment.rules.policy import Policy
from services.enrolment.service import corrections
from services.enrolment.service.acting import Acting
from services.enrolment.service.commands import AgentCorrection
from shared import clock
from shared.auth import Principal
from shared.database import Database, Row, Transaction
from shared.events.catalogue import SessionState
from shared.events.vocabulary import Agent
from shared.permissions import Role
from tests.conftest import Ask, SecurityLines
from tests.integration.enrolment.conftest import Front, SelectRows, ToApplication, problem
from tests.integration.enrolment.manage import MANAGE, OrganiserClient, hidden, page_of
from tests.integration.enrolment.organising import ADMIN, BRETAGNE, listed, published_events
from tests.support.builders import an_agent
from tests.support.locks import locks_awaited

HEARD = "Au téléphone"
WRITTEN = "SELECT count(*) FROM outbox UNION ALL SELECT count(*) FROM enrolment_change"


@dataclass(frozen=True)
class Situation:
    """A full session of Bretagne with offers, a session with pending enrolments, and one with a free seat."""

    front: Front
    agents: dict[str, Agent]
    full: SessionState
    asking: SessionState
    there: SessionState

    def session_of(self, name: str) -> SessionState:
        return self.asking if name == "pending" else self.full

    async def of(self, name: str) -> Row:
        return await self.front.of(self.session_of(name), self.agents[name])

    async def states(self) -> dict[str, str]:
        return {name: (await self.of(name)).state for name in self.agents}


@pytest.fixture
async def world(front: Front) -> Situation:
    names = ("seated", "left", "offered", "first", "last", "twin")
    issuers, emails = {"twin": "ouest"}, dict.fromkeys(("seated", "twin"), "zoe@ville.fr")
    agents = {
        name: an_agent(
            name, family_name=name, issuer=issuers.get(name, ""), email=emails.get(name, f"{name}@ville.fr")
        )
        for name in names
    }
    full = await front.open(*agents.values(), capacity=2, waiting_list="offer")
    await front.withdraw(full, agents["left"])
    agents["pending"] = an_agent("pending")
    asking = await front.open(agents["pending"], capacity=1, approval="employer")
    return Situation(front, agents, full, asking, there=await front.open(venue="Brest"))


@dataclass(frozen=True)
class ActionCase:
    """An action about the enrolment of ``who``: its JSON, its form, its bulk form, and its effect."""

    who: str
    json: tuple[str, str, dict[str, Any]]
    form: tuple[str, dict[str, str]]
    bulk: str | None = None
    cause: str = ""
    event: str | None = None
    becomes: dict[str, str] = field(default_factory=dict)
    reason: str | None = HEARD


NO_JSON = ("", "", dict[str, Any]())
YES, NO = ({"answer": answer, "heard": HEARD} for answer in ("yes", "no"))
BY_EMPLOYER = {"by": "employer", "reason": HEARD}
TWIN = {"autre": "{twin}", "version-autre": "1", "confirmer": "oui"}
ACTIONS = {
    "withdraw": ActionCase(
        "seated",
        json=("POST", "withdrawal", BY_EMPLOYER),
        form=("desistement", BY_EMPLOYER),
        bulk="withdraw",
        cause="employer",
        event="EnrolmentWithdrawn",
        becomes={"seated": "withdrawn", "first": "offered"},
    ),
    "accept the offer": ActionCase(
        "offered",
        json=("POST", "offer-answer", {"accepted": True, "reason": HEARD}),
        form=("reponse", YES),
        cause="offer_accepted",
        event="AgentEnrolled",
        becomes={"offered": "enrolled"},
    ),
    "decline the offer": ActionCase(
        "offered",
        json=("POST", "offer-answer", {"accepted": False, "reason": HEARD}),
        form=("reponse", NO),
        cause="offer_declined",
        event="SeatOfferLapsed",
        becomes={"offered": "lapsed", "first": "offered"},
    ),
    "grant approval": ActionCase(
        "pending",
        json=("POST", "approval", {"granted": True, "reason": HEARD}),
        form=("accord", YES),
        bulk="approve",
        cause="approval_granted",
        event="AgentEnrolled",
        becomes={"pending": "enrolled"},
    ),
    "deny approval": ActionCase(
        "pending",
        json=("POST", "approval", {"granted": False, "reason": HEARD}),
        form=("accord", NO),
        bulk="approve",
        cause="approval_denied",
        event="EnrolmentRefused",
        becomes={"pending": "refused"},
    ),
    "change the priority": ActionCase(
        "last",
        json=("PUT", "priority", {"priority": 5, "reason": HEARD}),
        form=("priorite", {"priority": "5", "reason": HEARD}),
        bulk="prioritise",
        cause="priority",
    ),
    "join": ActionCase(
        "seated",
        json=("POST", "join", {"enrolment_id": "{twin}"}),
        form=("reunion", TWIN),
        cause="joined",
        event="EnrolmentWithdrawn",
        becomes={"twin": "withdrawn"},
        reason=None,
    ),
    "move": ActionCase(
        "seated",
        json=("POST", "move", {"to_session_id": "{there}"}),
        form=("deplacement", {"to_session_id": "{there}"}),
        bulk="move",
        cause="moved",
        event="EnrolmentWithdrawn",
        becomes={"seated": "withdrawn", "first": "offered"},
        reason=None,
    ),
}
CHANNELS = [
    pytest.param(name, channel, id=f"{name}-by-{channel}")
    for name, action in ACTIONS.items()
    for channel in ("json", "form", "bulk")
    if channel != "bulk" or action.bulk is not None
]


@dataclass(frozen=True)
class Channels:
    world: Situation
    ask: Ask
    organiser: OrganiserClient

    async def ids(self, values: dict[str, Any]) -> dict[str, Any]:
        known = {"{twin}": str((await self.world.of("twin")).enrolment_id)}
        known["{there}"] = str(self.world.there.session_id)
        return {name: known.get(value, value) for name, value in values.items()}

    async def send(self, action: ActionCase, channel: str, **changes: Any) -> httpx.Response:
        """Ask for the action by this channel. ``changes`` replace fields of its body or form."""
        enrolment = await self.world.of(action.who)
        if channel == "json":
            method, resource, body = action.json
            path = f"/api/v1/enrolments/{enrolment.enrolment_id}/{resource}"
            return await self.ask(method, path, by=BRETAGNE, json=await self.ids(body | changes))
        page, fields = action.form
        key = hidden((await self.organiser.get(MANAGE)).text, "cle")
        form = {"cle": key, "version": str(enrolment.version), **await self.ids(fields | changes)}
        if channel == "form":
            path = f"{MANAGE}/inscriptions/{enrolment.enrolment_id}/{page}"
            return await self.organiser.post(path, data=form)
        seen = form.pop("version")
        chosen = {"choix": str(enrolment.enrolment_id), f"version-{enrolment.enrolment_id}": seen}
        bulk = {"action": action.bulk, "confirmer": "oui"}
        path = page_of(self.world.session_of(action.who), "/choix")
        return await self.organiser.post(path, data=form | chosen | bulk)


@pytest.fixture
def channels(world: Situation, ask: Ask, organiser: OrganiserClient) -> Channels:
    return Channels(world, ask, organiser)


@pytest.mark.parametrize(("name", "channel"), CHANNELS)
async def test_an_action_has_one_effect_by_each_channel_and_keeps_author_and_reason(
    channels: Channels, rows: SelectRows, name: str, channel: str
) -> None:
    action, world = ACTIONS[name], channels.world
    before = await world.states()
    events = [] if action.event is None else await published_events(rows, action.event)

    answer = await channels.send(action, channel)

    assert answer.status_code == {"json": 200, "form": 303, "bulk": 200}[channel], answer.text
    assert await world.states() == before | action.becomes
    [kept] = await rows("SELECT facts FROM enrolment_change WHERE cause = :cause", cause=action.cause)
    assert kept.facts["author"] == BRETAGNE
    assert kept.facts.get("reason") == action.reason
    others = await rows("SELECT facts FROM enrolment_change WHERE cause <> :cause", cause=action.cause)
    assert not any("reason" in change.facts for change in others)
    if action.event is not None:
        assert len(await published_events(rows, action.event)) == len(events) + 1
    waiting = [entry["agent"]["agent_id"] for entry in await listed(channels.ask, world.full)]
    assert (waiting.index("last") < waiting.index("first")) == (name == "change the priority")
    if name == "move":
        assert await world.front.states(world.there, world.agents["seated"]) == ["enrolled"]


STALE = ("withdraw", "accept the offer", "grant approval", "change the priority", "move", "join")


@pytest.mark.parametrize(("name", "channel"), [*((name, "form") for name in STALE), ("withdraw", "bulk")])
async def test_a_form_about_an_enrolment_that_has_changed_since_does_nothing(
    channels: Channels, rows: SelectRows, name: str, channel: str
) -> None:
    action = ACTIONS[name]
    enrolment_id = (await channels.world.of(action.who)).enrolment_id
    stale = {"version": "99"} | ({f"version-{enrolment_id}": "99"} if channel == "bulk" else {})
    before = await rows(WRITTEN)
    answer = await channels.send(action, channel, **stale)
    assert answer.status_code == (409 if channel == "form" else 200)
    assert await rows(WRITTEN) == before


async def test_two_enrolments_are_joined_once_that_is_confirmed_and_both_are_as_they_were_shown(
    channels: Channels,
) -> None:
    """From the page of the enrolment that stays. The page of the other, which only waits, offers nothing."""
    before, offered = await channels.world.states(), []
    asked = await channels.send(replace(ACTIONS["join"], form=("reunion", {"autre": "{twin}"})), "form")
    late = await channels.send(ACTIONS["join"], "form", **{"version-autre": "9"})
    assert (asked.status_code, late.status_code, await channels.world.states()) == (200, 409, before)
    for who in ("seated", "twin"):
        path = f"{MANAGE}/inscriptions/{(await channels.world.of(who)).enrolment_id}"
        offered.append(f"{path}/reunion" in (await channels.organiser.get(path)).text)
    assert offered == [True, False]


INVALID: list[tuple[str, str, dict[str, Any]]] = [
    ("withdraw", "json", {"by": "colleague"}),
    ("withdraw", "form", {"by": "colleague"}),
    ("withdraw", "bulk", {"by": "colleague"}),
    ("withdraw", "form", {"reason": "a" * 6000}),
    ("accept the offer", "form", {"answer": "perhaps"}),
    ("accept the offer", "form", {"heard": " "}),
    ("grant approval", "form", {"answer": ""}),
    ("change the priority", "json", {"priority": 1001}),
    ("change the priority", "form", {"priority": "x"}),
    ("change the priority", "form", {"priority": "9" * 5000}),
    ("change the priority", "form", {"reason": " "}),
    ("move", "form", {"to_session_id": "x"}),
    ("move", "bulk", {"to_session_id": "x"}),
    ("grant approval", "bulk", {"answer": ""}),
    ("change the priority", "bulk", {"priority": "x"}),
    ("accept the offer", "json", {"reason": " "}),
]


@pytest.mark.parametrize(
    ("name", "channel", "changes"),
    INVALID,
    ids=[f"{name}-{number}-by-{channel}" for number, (name, channel, _) in enumerate(INVALID)],
)
async def test_an_invalid_action_is_refused_and_changes_nothing(
    channels: Channels, rows: SelectRows, name: str, channel: str, changes: dict[str, Any]
) -> None:
    before = await rows(WRITTEN)
    answer = await channels.send(ACTIONS[name], channel, **changes)
    assert answer.status_code == 422, answer.text
    assert await rows(WRITTEN) == before


@pytest.mark.parametrize(
    ("name", "who", "days", "code"),
    [
        ("change the priority", "seated", 0, None),
        ("change the priority", "left", 0, None),
        ("withdraw", "left", 0, None),
        ("withdraw", "seated", 31, None),
        ("accept the offer", "first", 0, "no_offer"),
        ("accept the offer", "offered", 31, "deadline_passed"),
    ],
)
async def test_what_the_rules_refuse_publishes_nothing(
    *,
    channels: Channels,
    rows: SelectRows,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    who: str,
    days: int,
    code: str | None,
) -> None:
    before, later = await rows(WRITTEN), clock.now() + timedelta(days=days)
    monkeypatch.setattr(clock, "now", lambda: later)
    answer = await channels.send(replace(ACTIONS[name], who=who), "json")
    problem(answer, 409)
    assert code is None or answer.json()["code"] == code
    assert await rows(WRITTEN) == before


async def test_the_first_of_the_line_is_chosen_without_a_number(channels: Channels) -> None:
    form = {"premier": "oui", "priority": "0", "reason": "Oubli"}
    for who in ("last", "first"):
        action = ActionCase(who, NO_JSON, ("priorite", form))
        assert (await channels.send(action, "form")).status_code == 303
        waiting = await listed(channels.ask, channels.world.full, "?state=waitlisted")
        assert waiting[0]["agent"]["agent_id"] == who
        assert (await channels.send(action, "form", reason=" ")).status_code == 422


async def test_an_answer_never_precedes_its_commit(
    world: Situation, application: ToApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/api/v1/enrolments/{(await world.of('first')).enrolment_id}/withdrawal"
    monkeypatch.setattr(Transaction, "committed", lambda _: 1 / 0)
    transport = httpx.ASGITransport(app=application(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://enrolment") as client:
        headers = {"authorization": f"Bearer {BRETAGNE}"}
        answer = await client.post(path, headers=headers, json={"by": "agent"})
    assert answer.status_code == 500


# ------------------------------------------------------------------------------------------- corrections


async def in_two_sessions(front: Front, **other: Any) -> tuple[Agent, SessionState, str]:
    """An agent in a session of Bretagne and in another one, that one, and the path of the correction."""
    agent = an_agent(email="faute@exemple.fr")
    ours, others = await front.open(agent), await front.open(agent, **other)
    return agent, others, f"/api/v1/enrolments/{(await front.of(ours, agent)).enrolment_id}/agent"


async def test_an_organiser_corrects_an_agent_in_all_sessions_and_is_kept_as_the_author(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    agent, others, path = await in_two_sessions(front)
    right = {"email": "zoe@exemple.fr"}
    for _ in range(2):
        answer = await ask("PATCH", path, by=BRETAGNE, json=right)
        assert answer.json()["agent"]["email"] == "zoe@exemple.fr", answer.text
    assert (await front.of(others, agent)).agent["email"] == "zoe@exemple.fr"
    first, again = await rows("SELECT author, before, after FROM correction ORDER BY received_at")
    assert tuple(first) == (BRETAGNE, [{"email": "faute@exemple.fr"}], right)
    assert again.before == [], "nothing was wrong any more"
    [published] = await published_events(rows, "AgentDetailsCorrected", agent_id=agent.agent_id)
    assert (published["email"], published["given_name"]) == ("zoe@exemple.fr", None)
    assert published["corrected_by"] == "organiser"


async def test_an_organiser_of_only_some_of_an_agents_sessions_may_not_correct_the_agent(
    front: Front, ask: Ask, rows: SelectRows
) -> None:
    """Letters about the other sessions would go to an address of this organiser's choice."""
    agent, others, path = await in_two_sessions(front, organiser="corse")
    problem(await ask("PATCH", path, by=BRETAGNE, json={"email": "mine@exemple.fr"}), 409)
    assert await rows("SELECT 1 FROM correction") == []
    assert (await ask("PATCH", path, by=ADMIN, json={"email": "zoe@exemple.fr"})).status_code == 200
    assert (await front.of(others, agent)).agent["email"] == "zoe@exemple.fr"


@pytest.mark.parametrize(
    "body",
    [{}, {"email": None}, {"email": "zoe"}, {"given_name": "https://x.example"}, {"agent_id": "A-2"}],
)
async def test_a_correction_that_says_nothing_or_nonsense_changes_nothing(
    front: Front, ask: Ask, rows: SelectRows, body: Any
) -> None:
    *_, path = await in_two_sessions(front)
    problem(await ask("PATCH", path, by=BRETAGNE, json=body), 422)
    assert await rows("SELECT 1 FROM correction") == []


def correction_of(agent: Agent) -> ActionCase:
    """The form to correct an agent, as the page of ``seated`` shows it."""
    shown = {name: getattr(agent, name) for name in ("given_name", "family_name", "email")}
    before = {f"avant-{name}": value for name, value in shown.items()}
    return ActionCase("seated", NO_JSON, ("correction", before | shown))


async def test_a_form_corrects_what_it_changes_unless_a_colleague_was_faster(
    channels: Channels, rows: SelectRows
) -> None:
    form = correction_of(channels.world.agents["seated"])
    assert (await channels.send(form, "form")).status_code == 422, "nothing is changed"
    assert (await channels.send(form, "form", email="zoe")).status_code == 422
    assert (await channels.send(form, "form", given_name="Zoë")).status_code == 303
    [kept] = await rows("SELECT after FROM correction")
    assert kept.after == {"given_name": "Zoë"}
    assert (await channels.send(form, "form", given_name="Zoe")).status_code == 409


async def test_a_correction_is_a_line_of_the_security_log(
    channels: Channels, security_lines: SecurityLines
) -> None:
    form = correction_of(channels.world.agents["seated"])
    enrolment_id = (await channels.world.of("seated")).enrolment_id
    assert (await channels.send(form, "form", given_name="Zoë")).status_code == 303
    assert (await channels.send(form, "form", given_name="Zoe")).status_code == 409
    path = f"/api/v1/enrolments/{enrolment_id}/agent"
    assert (await channels.ask("PATCH", path, by=BRETAGNE, json={"given_name": "Zo"})).status_code == 200
    lines = [line for line in security_lines() if line["event"] == "correction"]
    assert [(line["outcome"], line["who"].partition(":")[0], line["where"]) for line in lines] == [
        ("ok", "organiser", "/inscriptions/gestion/inscriptions/{enrolment_id}/correction"),
        ("ok", "organiser", "/api/v1/enrolments/{enrolment_id}/agent"),
    ]


async def test_a_form_waits_for_a_colleague_who_corrects_at_the_same_moment_and_is_refused(
    channels: Channels, database: Database
) -> None:
    enrolment_id = (await channels.world.of("seated")).enrolment_id
    colleague = Principal(name="colleague", role=Role.ORGANISER, delegation="bretagne")
    form = correction_of(channels.world.agents["seated"])
    async with database.transaction() as tx:
        acting = Acting(tx, colleague, Policy(), clock.now())
        await corrections.correct_by_organiser(acting, enrolment_id, AgentCorrection(given_name="Zoë"))
        late = asyncio.create_task(channels.send(form, "form", given_name="Zoe"))
        await locks_awaited(database)
    assert (await late).status_code == 409
    assert (await channels.world.of("seated")).agent["given_name"] == "Zoë"
