"""The mailbox: an SMTP server that delivers nothing, stores each mail as a file and shows it on a page.

Strangers write the mails, so their text is escaped, or shown in a frame without scripts, forms or network.
"""
