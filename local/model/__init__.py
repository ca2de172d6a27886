"""The reference model: the right result of every request, by the rules of the domain.

It is written from docs/domain.md, not from the enrolment service's code. `seats.py` says who may take a seat
and who is next in line; the state machines of the tests use it too. `session.py` is one session with its
agents, `day.py` all sessions of the demonstration and the letters that follow. All of it is pure.
"""
