"""The demonstration: a day of enrolments on the whole system, checked to the last mail.

`day.py` plays the day: `requests.py` writes the requests for agents in `sessions.py`, and `portal.py` sends
them. `local.model` computes the right results, `decisions.py` reads the real ones, and `comparison.py` finds
the differences. The check shares no code with the services.
"""
