"""The desktop's side of the device switch: ``<useid-login>``, its modules and style, and the pages that carry it."""
