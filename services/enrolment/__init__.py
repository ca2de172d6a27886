"""The enrolment service: seats, waiting lists, refusals and their reasons."""
