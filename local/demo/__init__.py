"""The demonstration: a day of enrolments on the whole system, checked to the last mail.

`command.py` owns the beginning, the end and the exit code. `day.py` plays the day: `requests.py` writes what
is requested for `people.py` in `sessions.py`, and `portal.py` sends it. `model.py` says what should become of
it, in each session by `session_model.py`; `observed.py` reads what did, `comparison.py` finds the differences
and `summary.py` shows them, as `progress.py` shows meanwhile how far it is.

Nothing here imports a service or the contracts: what checks the services shares no code with them.
"""
