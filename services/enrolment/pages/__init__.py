from services.enrolment.pages import agent_log_ins, links, manage, officer_lists, trainer_roster, verification

__all__ = ["agent_log_ins", "links", "manage", "officer_lists", "trainer_roster", "verification"]
