"""The mailbox: an SMTP server that delivers nothing, stores each mail as a file and shows it on a page.

`reception.py` takes the mails, `index.py` lists them, `reading.py` opens one, `pages.py` shows them.
Strangers write the mails: all their text is escaped, or shown in a frame without scripts, forms or network.
"""
