"""Offers: what makes one impossible, and what a load of the files makes of one that was changed here."""

from typing import Any

import pytest

from services.catalogue.pages import offer_form
from services.catalogue.pages.form_errors import WrongForm
from services.catalogue.rules.loads import load_offer, with_choices
from services.catalogue.rules.offers import MADE_HERE, Offer, Source, Terms, fixed_format, impossible
from services.catalogue.rules.refusals import RefusalCode
from services.catalogue.service.commands import OfferChange, TermsRequest
from services.catalogue.service.offers import tag_of
from shared.events.catalogue import Audience
from shared.events.vocabulary import ApprovalPolicy, Format


def an_offer(**given: Any) -> Offer:
    fields: dict[str, Any] = {
        "offer_id": "ia-et-territoires",
        "format": Format.LOCAL_EVENT,
        "title": "IA et territoires",
        "summary": "Une journée dans chaque délégation.",
        "themes": ("enjeux-ia",),
        "terms": Terms(capacity=100, closes_days_before=5),
        "source": Source.COMMUNIQUE.value,
        "choices": ("summary",),
    }
    return Offer(**fields | given)


def loaded(**given: Any) -> Offer:
    return load_offer(an_offer(**given), None)


# ------------------------------------------------------------------------------------------------ loads


def changed(offer: Offer, **fields: Any) -> Offer:
    """The offer after a change by an organiser."""
    return with_choices(OfferChange(**fields).apply_to(offer))


def test_a_load_leaves_what_was_changed_here_and_takes_what_changed_in_the_files() -> None:
    known = changed(loaded(), summary="Ici.", terms=TermsRequest(capacity=80))
    files = an_offer(title="Autre titre", terms=Terms(capacity=100, closes_days_before=2))
    after = load_offer(files, known)
    assert (after.title, after.summary) == ("Autre titre", "Ici.")
    assert (after.terms.capacity, after.terms.closes_days_before) == (80, 2)
    assert load_offer(files, after) == after
    assert load_offer(an_offer(summary="Là."), known).summary == "Là.", "the files say it anew"


def test_an_offer_that_an_older_version_loaded_is_as_its_files_last_had_it() -> None:
    after = load_offer(an_offer(title="Autre titre"), an_offer())
    assert (after.title, after.loaded) == ("Autre titre", an_offer(title="Autre titre"))


@pytest.mark.parametrize(
    ("offer", "choices"),
    [
        (changed(loaded(), title="Ici", terms=TermsRequest(capacity=1)), ("summary", "title", "terms")),
        (changed(changed(loaded(), title="Ici"), title="IA et territoires"), ("summary",)),
        (changed(loaded(), themes=("usages",), format=Format.WEBINAR), ("summary", "format", "themes")),
        (changed(loaded(source=Source.ILLUSTRATIVE.value), title="Ici"), ("summary",)),
        (changed(an_offer(source=MADE_HERE, choices=()), title="Ici"), ()),
    ],
    ids=["changed", "changed back", "others", "an example", "made here"],
)
def test_a_field_that_was_changed_here_is_not_taken_for_the_announcements(
    offer: Offer, choices: tuple[str, ...]
) -> None:
    assert offer.choices == choices


# ------------------------------------------------------------------------------------------------ rules


def test_an_offer_names_themes_and_delegations_that_exist() -> None:
    terms = Terms(audience=Audience(delegations=("bretagne", "atlantide")))
    violations = impossible(an_offer(themes=("enjeux-ia", "rien"), terms=terms), {"enjeux-ia": ""})
    assert [(violation.code, violation.field) for violation in violations] == [
        (None, "themes.1"),
        (RefusalCode.UNKNOWN_DELEGATION, "terms.audience.delegations.1"),
    ]
    assert impossible(an_offer(), {"enjeux-ia": ""}) == ()


def test_the_format_changes_only_while_there_is_no_session() -> None:
    before, after = an_offer(), an_offer(format=Format.WEBINAR)
    (refused,) = fixed_format(before, after, has_sessions=True)
    assert refused.code is RefusalCode.FORMAT_FIXED
    assert fixed_format(before, after, has_sessions=False) == ()
    assert fixed_format(before, before, has_sessions=True) == ()


def test_the_tag_of_an_offer_changes_with_what_is_shown_of_it_alone() -> None:
    assert tag_of(loaded()) == tag_of(an_offer())
    assert tag_of(an_offer(terms=Terms(capacity=99, closes_days_before=5))) != tag_of(an_offer())


def test_terms_that_are_left_out_stay() -> None:
    assert TermsRequest(approval=ApprovalPolicy.EMPLOYER).over(Terms(capacity=7)).capacity == 7
    assert TermsRequest(capacity=None).over(Terms(capacity=7)).capacity is None


# ------------------------------------------------------------------------------------------------- form


def a_form(**given: str) -> dict[str, str]:
    return offer_form.shown(None) | {"title": "L’IA & les élus", "format": "webinar", "summary": "S."} | given


def test_an_offer_is_called_by_its_title_unless_the_form_says_how() -> None:
    assert offer_form.read_new(a_form()).offer_id == "l-ia-les-elus"
    assert offer_form.read_new(a_form(offer_id="elus-2027")).offer_id == "elus-2027"


def test_a_form_that_was_not_touched_requests_what_is_stored() -> None:
    offer = an_offer(terms=Terms(capacity=None, minimum=5, audience=Audience(sirets=("21350238800019",))))
    requested = offer_form.read_change(offer_form.shown(offer))
    assert requested.apply_to(offer) == offer


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("title", "", "required"),
        ("format", "", "required"),
        ("format", "atelier", "format"),
        ("summary", "", "required"),
        ("offer_id", "Élus 2027", "slug"),
        ("capacity", "beaucoup", "capacity"),
        ("minimum", "0", "minimum"),
        ("closes_days_before", "", "required"),
        ("closes_days_before", "366", "closes_days_before"),
        ("offer_hold_hours", "", "required"),
        ("timezone", "Europe/Atlantide", "timezone"),
        ("audience-sirets", "12345678901234", "siret"),
    ],
)
def test_an_error_stands_at_its_field(name: str, text: str, code: str) -> None:
    with pytest.raises(WrongForm) as wrong:
        offer_form.read_new(a_form(**{name: text}))
    errors = wrong.value.errors
    assert {offer_form.field_of(field): error.code for field, error in errors.items()} == {name: code}


def test_a_box_that_was_unticked_stays_so_in_a_form_that_is_shown_again() -> None:
    stored = offer_form.shown(an_offer())
    sent = {"title": "Autre", "theme-autre": "oui"}
    values = offer_form.kept(sent, stored)
    assert (values["theme-enjeux-ia"], values["theme-autre"], values["title"]) == ("", "oui", "Autre")
    assert offer_form.differing(values, stored) == ["title", "themes"]
    assert offer_form.kept({}, stored) == stored
