"""The reference model: the right result of every request, by the rules of the domain. Pure.

It is written from docs/domain.md, not from the enrolment service's code. `seats.py` decides about seats and
the waiting list, also for the state machines of the tests. `session.py` is one session, `day.py` has all
sessions and letters of the demonstration.
"""
