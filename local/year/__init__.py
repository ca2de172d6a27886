"""A whole year on a moved clock: from the announcement to the certificates and the end of retention.

`situations/` has the people, their acts and the expected letters, as data written by hand from
docs/domain.md. `script.py` walks through the calendar, `acts.py` does the acts, `quiet.py` waits until all
is done, `hearing.py` collects letters and answers, `timeline.py` compares them, `keeping.py` looks for
people whom the databases still know.

Nothing here imports a service.
"""
