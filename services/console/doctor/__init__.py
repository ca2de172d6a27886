"""``parcours doctor``: whether an installation is set up as it has to be, and what to do where it is not.

It looks at settings, databases, the broker, the relay, the DNS and the disks; it changes nothing and sends no
mail.
"""
