"""The embedded eID server: emulation for development and test. What it proves, it proves about emulated cards alone."""
