from services.enrolment.pages import links, manage, officer_lists, trainer_roster, verification

__all__ = ["links", "manage", "officer_lists", "trainer_roster", "verification"]
