"""The enrolment service: who holds a seat, who waits, who was refused, and why."""
