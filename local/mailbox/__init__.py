"""The mailbox: an SMTP server that delivers nothing, keeps each mail as a file and shows it on a page.

`reception.py` takes the mails, `index.py` knows them, `reading.py` opens one, `pages.py` shows them,
`serving.py` runs the process. A mail is written by strangers: whatever is shown of it is escaped or
shut in a frame without scripts, forms or network.
"""

from local.mailbox.serving import MailboxServer, serve

__all__ = ["MailboxServer", "serve"]
