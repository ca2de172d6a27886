"""A whole year on a moved clock: from the announcement to the certificates and the end of retention.

`situations/` has the people, what they do and when, and what each is to hear, written by hand from
docs/domain.md.
`command.py` begins and ends it, `script.py` walks through the calendar, `acts.py` does what is asked by a
portal, `by_mail.py` what people do with letters and on pages, `organising.py` what organisers do, `quiet.py`
waits until all is done, `hearing.py` collects what was heard, `timeline.py` compares and shows it,
`keeping.py` looks for whom the databases still know.

Nothing here imports a service.
"""
