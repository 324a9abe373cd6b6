"""Extended Access Control by BSI TR-03110, and the parts of ISO 7816-4 it stands on: pure, for card and terminal."""
