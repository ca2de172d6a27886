"""A form sent after its log-in ended: the browser carries it through the next log-in.

Nothing of it is stored. Only our own pages carry it. The person then sends it by a button. The page of a
final act shows its consequences again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from shared.web.forms import Form
from shared.web.logins.staff_area import StaffArea

_BROUGHT = "saisie-"
_ADDRESS = "envoi"
MORE_FIELDS = 5
_LEFT_BEHIND = frozenset(("cle", "confirmer", "envoyer"))


@dataclass(frozen=True, slots=True)
class LateForm:
    """Without an address the form can be copied, not sent."""

    address: str = ""
    fields: Sequence[tuple[str, str]] = ()

    @property
    def brought(self) -> Sequence[tuple[str, str]]:
        return [(_ADDRESS, self.address), *((f"{_BROUGHT}{name}", value) for name, value in self.fields)]

    def typed(self, label: Callable[[str], str | None]) -> str:
        form = Form(self.fields)
        named = ((label(name), form.typed(name)) for name in form)
        return "\n".join(f"{name}\u00a0: {value}" for name, value in named if name and value)


def sent(request: Request, area: StaffArea, form: Form) -> LateForm:
    """A form with a file gives an empty one: a browser sends a file once."""
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return LateForm() if form.file is not None else _of_area(area, address, form.pairs)


def brought(area: StaffArea, form: Form) -> LateForm:
    pairs = [(name.removeprefix(_BROUGHT), value) for name, value in form.pairs if name.startswith(_BROUGHT)]
    return _of_area(area, form.get(_ADDRESS, ""), pairs)


def _of_area(area: StaffArea, address: str, pairs: Sequence[tuple[str, str]]) -> LateForm:
    fields = [(name, value) for name, value in pairs if name not in _LEFT_BEHIND]
    return LateForm(address if area.can_be_sent_late(address) else "", fields)
