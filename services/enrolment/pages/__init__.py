from services.enrolment.pages import links, manage, trainer_roster, verification

__all__ = ["links", "manage", "trainer_roster", "verification"]
