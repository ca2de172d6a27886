"""Rows of a list as people: columns in any order, employers by SIRET or name, at most one fault a row."""

import pytest

from services.enrolment.service import enrolment_lists
from services.enrolment.service.employers import EmployerDirectory
from shared.events.catalogue import Question
from shared.events.vocabulary import Adjustment, Employer, Function
from shared.web import spreadsheets
from tests.support.builders import a_question

RENNES = Employer(siret="21350238800019", name="Ville de Rennes", delegation="bretagne")
BREST = Employer(siret="21290019500018", name="Commune de Brest", delegation="bretagne")
SAINT_DENIS = Employer(siret="21974011500015", name="Commune de Saint-Denis", delegation="la-reunion")
PORT = Employer(siret="26350999400012", name="Régie du port", delegation="bretagne")
TWINS = [
    Employer(siret=siret, name="CCAS", delegation="bretagne")
    for siret in ("26350001900009", "26290001200002")
]
EMPLOYERS = EmployerDirectory([RENNES, *TWINS])
HEADING = "Mail;Prénom;Nom d'usage;Poste;N° SIRET;Collectivité;Délégation;Taille"


def read(*rows: str, **for_all: str) -> list[object]:
    """The employer or the fault of each row."""
    sheet = spreadsheets.read("\n".join([HEADING, *rows]).encode(), enrolment_lists.COLUMNS)
    people, faults = enrolment_lists.people_in(sheet.rows, for_all, EMPLOYERS, approved=False)
    by_line: dict[int, object] = {person.line: person.command.employer for person in people}
    by_line |= {fault.line: (fault.code, fault.column) for fault in faults}
    return [by_line[line] for line in sorted(by_line)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("a@x.fr;Anne;Riou;agent;213 502 388 00019;;", RENNES),
        ("a@x.fr;Anne;Riou;Agente ou agent;21350238800019;Mairie;Normandie", RENNES),
        ("a@x.fr;Anne;Riou;cadre;;ville de rennes;", RENNES),
        ("a@x.fr;Anne;Riou;cadre;;21350238800019;", RENNES),
        (f"a@x.fr;Anne;Riou;agent;{PORT.siret};{PORT.name};Bretagne", PORT),
        (f"a@x.fr;Anne;Riou;agent;{PORT.siret};;Bretagne", ("unknown_siret", "employer")),
        (f"a@x.fr;Anne;Riou;agent;;{PORT.siret};Bretagne", ("unknown_siret", "employer")),
        (f"a@x.fr;Anne;Riou;agent;{PORT.siret};{PORT.name};", ("not_a_delegation", "delegation")),
        ("a@x.fr;Anne;Riou;agent;21290019500019;Ville de Brest;Bretagne", ("not_a_siret", "siret")),
        (f"a@x.fr;Anne;Riou;agent;;{PORT.name};Bretagne", ("unknown_employer", "employer")),
        ("a@x.fr;Anne;Riou;agent;21290019500018;;", BREST),
        ("a@x.fr;Anne;Riou;agent;;Mairie de Brest;", BREST),
        ("a@x.fr;Anne;Riou;agent;;commune de rennes;", RENNES),
        ("a@x.fr;Anne;Riou;agent;;Saint-Denis;La Réunion", SAINT_DENIS),
        ("a@x.fr;Anne;Riou;agent;;Saint-Denis;", ("several_employers", "employer")),
        ("a@x.fr;Anne;Riou;agent;;Finistère;", ("unknown_employer", "employer")),
        ("a@x.fr;Anne;Riou;agent;;CCAS;Bretagne", ("several_employers", "employer")),
        ("a@x.fr;Anne;Riou;agent;;;", ("empty", "employer")),
        ("a@x.fr;Anne;Riou;maire;21350238800019;;", ("not_a_function", "function")),
        ("a@x.fr;Anne;Riou;;21350238800019;;", ("empty", "function")),
        ("a@x.fr;Anne;;agent;21350238800019;;", ("empty", "family_name")),
        ("nowhere;Anne;Riou;agent;21350238800019;;", ("invalid", "email")),
    ],
)
def test_a_row_names_an_employer_or_has_one_fault(row: str, expected: object) -> None:
    assert read(f"{row};M") == [expected]


def test_a_person_listed_twice_is_a_fault_of_the_second_row() -> None:
    row = "a@x.fr;Anne;Riou;agent;21350238800019;;;M"
    assert read(row, row.replace("Anne", "ANNE"), row.replace("Anne", "Éva")) == [
        RENNES,
        ("twice", "family_name"),
        RENNES,
    ]


def test_what_the_form_says_for_all_rows_fills_empty_cells_alone() -> None:
    sheet = spreadsheets.read(b"nom;prenom;e-mail\nRiou;Anne;a@x.fr", enrolment_lists.COLUMNS)
    for_all = {"function": Function.ENCADRANT, "employer": RENNES.siret}
    [person], [] = enrolment_lists.people_in(sheet.rows, for_all, EMPLOYERS, approved=True)
    command = person.command
    assert (command.function, command.employer, command.approved) == (Function.ENCADRANT, RENNES, True)
    assert read("a@x.fr;Anne;Riou;agent;;CCAS;;M", **for_all) == [("several_employers", "employer")]


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("yes_no", "OUI", True),
        ("yes_no", "non", False),
        ("yes_no", "peut-être", None),
        ("number", "12", 12),
        ("number", "douze", None),
        ("choice", "Vegetarien", "végétarien"),
        ("choice", "poisson", None),
        ("text", "Sans titre", "Sans titre"),
        ("text", "x" * 1001, None),
        (
            "adjustment",
            "Boucle magnétique, un autre aménagement, à préciser ensemble",
            (Adjustment.HEARING_LOOP, Adjustment.CONTACT_ME),
        ),
        ("adjustment", "wheelchair_access", (Adjustment.WHEELCHAIR_ACCESS,)),
        ("adjustment", "boucle magnétique et parking", None),
    ],
)
@pytest.mark.parametrize("heading", ["Question : Que répondez-vous à « repas » ?", "question_repas"])
def test_an_answer_stands_in_the_column_of_its_question(
    heading: str, kind: str, cell: str, value: object
) -> None:
    question = Question.model_validate(a_question(kind=kind))
    sheet = spreadsheets.read(
        f"nom;prenom;mail;{heading}\nRiou;Anne;a@x.fr;{cell}\nRiou;Éva;e@x.fr;".encode(),
        enrolment_lists.columns_for([question]),
    )
    for_all = {"function": Function.AGENT, "employer": RENNES.siret}
    people, faults = enrolment_lists.people_in(sheet.rows, for_all, EMPLOYERS, [question], approved=True)
    answers = {
        person.command.given_name: [answer.value for answer in person.command.answers] for person in people
    }
    assert answers == {"Éva": []} | ({} if value is None else {"Anne": [value]})
    assert [(fault.code, fault.column) for fault in faults] == [(kind, "question_repas")] * (value is None)


def test_headings_that_are_no_column_are_named() -> None:
    sheet = spreadsheets.read(HEADING.encode(), enrolment_lists.COLUMNS)
    assert (sheet.found["siret"], sheet.ignored) == ("N° SIRET", ("Taille",))


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("vil ren", [RENNES]),
        ("rennes VILLE", [RENNES]),
        ("vil brest", []),
        ("Brest", [BREST]),
        ("Mairie de Rennes", [RENNES]),
        ("enn", []),
        ("ccas", TWINS),
        ("", []),
    ],
)
def test_an_employer_is_found_by_the_beginnings_of_its_words(typed: str, found: list[Employer]) -> None:
    assert list(EMPLOYERS.similar(typed)) == found


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Mairie du Mans", "Commune du Mans"),
        ("ville d’Arles", "Commune d’Arles"),
        ("Commune des Lilas", "Commune des Lilas"),
        ("Ville de La Baule-Escoublac", "Commune de La Baule-Escoublac"),
        ("Communauté d’agglomération Quimper Bretagne Occidentale", "CA Quimper Bretagne Occidentale"),
        ("quimper bretagne occidentale", "CA Quimper Bretagne Occidentale"),
        ("Rennes Métropole", "Rennes Métropole"),
    ],
)
def test_a_commune_and_an_epci_are_employers_by_the_names_that_people_use(typed: str, name: str) -> None:
    [employer] = EmployerDirectory([]).public(typed)
    assert employer.name == name
    assert EmployerDirectory([]).with_siret(employer.siret) == employer


def test_the_siret_that_somebody_said_of_a_commune_counts_and_the_own_sessions_come_first() -> None:
    moved = Employer(siret="21290019500026", name="Mairie (Brest)", delegation="bretagne")
    assert list(EmployerDirectory([], [moved]).public("Brest")) == [moved]
    mine = moved.model_copy(update={"name": "Brest"})
    assert EmployerDirectory([mine], [moved]).with_siret(moved.siret) == mine
    assert EmployerDirectory([], [moved]).names == []
