"""The emulated German ID card: its files, passwords and protocols (pure), and the plug for other programs."""
