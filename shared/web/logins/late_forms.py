"""A form that came after its log-in had ended: brought through the next one by the browser, then sent again.

Nothing of it is kept here. Only our own pages bring it (:func:`shared.web.forms.read_form` looks), and
what is done with it is done by who is logged in then, by a button, with the key of their own log-in. Where
that is final, its page shows again what follows before it is done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from shared.web.forms import Form
from shared.web.logins.staff_area import StaffArea

_BROUGHT = "saisie-"
_ADDRESS = "envoi"
MORE_FIELDS = 5
"""What a form of a log-in has at most, besides those."""
_LEFT_BEHIND = frozenset(("cle", "confirmer", "envoyer"))
"""The key of the log-in that had ended, and the buttons that say that one has read what follows."""


@dataclass(frozen=True, slots=True)
class LateForm:
    """Where a form was sent, and what was in it; one without an address can be copied, and not sent."""

    address: str = ""
    fields: Sequence[tuple[str, str]] = ()

    @property
    def brought(self) -> Sequence[tuple[str, str]]:
        """The fields that bring it through a log-in."""
        return [(_ADDRESS, self.address), *((f"{_BROUGHT}{name}", value) for name, value in self.fields)]

    def typed(self, label: Callable[[str], str | None]) -> str:
        """What somebody typed into it, a line or more for each field that has a label."""
        form = Form(self.fields)
        named = ((label(name), form.typed(name)) for name in form)
        return "\n".join(f"{name}\u00a0: {value}" for name, value in named if name and value)


def sent(request: Request, area: StaffArea, form: Form) -> LateForm:
    """The form of a request; an empty one for a form with a file, which its browser sends once."""
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return LateForm() if form.file is not None else _of_area(area, address, form.pairs)


def brought(area: StaffArea, form: Form) -> LateForm:
    """The late form that the form of a log-in brings; an empty one where it brings none."""
    pairs = [(name.removeprefix(_BROUGHT), value) for name, value in form.pairs if name.startswith(_BROUGHT)]
    return _of_area(area, form.get(_ADDRESS, ""), pairs)


def _of_area(area: StaffArea, address: str, pairs: Sequence[tuple[str, str]]) -> LateForm:
    fields = [(name, value) for name, value in pairs if name not in _LEFT_BEHIND]
    return LateForm(address if area.can_be_sent_late(address) else "", fields)
