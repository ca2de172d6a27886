"""What is around every page of every service."""

from shared.web.notices import Error
from shared.web.rendering import TEMPLATES, Rendering, Sites


def test_pages_of_other_services_lead_to_what_the_law_requires_on_the_catalogue() -> None:
    rendering = Rendering(TEMPLATES, service="notifier", sites=Sites(catalogue="https://parcours.example"))
    page = bytes(rendering.notice(Error.UNAVAILABLE).body).decode()
    for path in ("/accessibilite", "/mentions-legales", "/donnees-personnelles"):
        assert f'href="https://parcours.example{path}"' in page
