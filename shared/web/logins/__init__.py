"""Logging in to pages that are not for everybody, by token or by an issuer of OpenID Connect.

The cookie is random and means nothing; what it stands for is in the service's database, by its digest, until
the log-in ends. A form is taken from a page that this browser was given: its key is the log-in's own, and a
browser that says where the form came from must say here. A token that is no longer in ``API_TOKENS_FILE``
ends its log-ins, and so does a rule that is no longer in ``OIDC_ROLES``.
"""

from shared.web.logins.pages import Logins, StaffVisit, VisitHandler
from shared.web.logins.staff_area import StaffArea
from shared.web.logins.store import REGISTER, add_to

__all__ = ["REGISTER", "Logins", "StaffArea", "StaffVisit", "VisitHandler", "add_to"]
