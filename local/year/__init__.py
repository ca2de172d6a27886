"""A whole year on a moved clock: from the announcement to the certificates and the end of retention.

`situations/` has people, acts and expected letters, as data written by hand from docs/domain.md. `script.py`
walks through the calendar, `acts.py` does the acts, `quiet.py` waits until all is done, `timeline.py`
compares, and `keeping.py` looks for people who should be forgotten. Nothing here imports a service.
"""
