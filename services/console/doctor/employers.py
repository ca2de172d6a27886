from services.console.findings import Finding, Mark
from services.enrolment.employer_search import EmployerSearch, EmployerSearchFailed
from services.enrolment.settings import Settings

_CNFPT = "180014045"
"""A SIREN that the register has."""


async def look(settings: Settings) -> list[Finding]:
    """Search once, if operators allow it."""
    if settings.employer_search_url is None:
        return []
    about = settings.employer_search_url
    try:
        await EmployerSearch(about).ask(_CNFPT)
    except EmployerSearchFailed as error:
        remedy = "let enrolment reach it, or correct or unset EMPLOYER_SEARCH_URL"
        return [Finding(about, "search of employers", Mark.ACT, f"fails: {error}", remedy)]
    return [Finding(about, "search of employers", Mark.OK, "answers")]
