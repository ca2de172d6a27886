"""Log-ins of staff pages, by token or by an issuer of OpenID Connect.

The cookie is a random secret; the database keeps its digest until the log-in ends. A form carries the key of
its log-in, and if a browser names the form's origin, the origin must be ours. Log-ins end with their token in
``API_TOKENS_FILE`` or their rule in ``OIDC_ROLES``.
"""

from shared.web.logins.pages import Logins, StaffVisit, VisitHandler
from shared.web.logins.staff_area import StaffArea
from shared.web.logins.store import REGISTER, add_to

__all__ = ["REGISTER", "Logins", "StaffArea", "StaffVisit", "VisitHandler", "add_to"]
