"""The demonstration: a day of enrolments on the whole system, checked to the last mail.

`day.py` plays the day: `requests.py` writes requests for agents in `sessions.py`, and `portal.py` sends
them. `local.model` says what should become of them, `decisions.py` reads what did, `comparison.py` finds the
differences and `summary.py` shows them.

Nothing here imports a service or the contracts: the check shares no code with the services.
"""
