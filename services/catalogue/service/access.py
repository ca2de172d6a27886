from services.catalogue.rules.refusals import Violation
from services.catalogue.rules.searching import Viewer
from services.catalogue.service.failures import Impossible, NotYours
from shared.auth import Principal
from shared.events.vocabulary import Delegation


def viewer_of(who: Principal) -> Viewer:
    return Viewer(everywhere=who.delegation is None, delegation=who.delegation)


def acting_for(who: Principal, requested: Delegation | None) -> str:
    """``requested`` None is the token's delegation.

    Raises :class:`NotYours` for another delegation, and :class:`Impossible` if an organiser of all
    delegations names none.
    """
    if requested is None:
        if who.delegation is None:
            raise Impossible(
                Violation(None, "organiser", "say for which delegation: this token acts for all")
            )
        return who.delegation
    if not who.may_act_for(requested):
        raise NotYours(f"This token acts for {who.delegation}, not for {requested}.")
    return requested.value
