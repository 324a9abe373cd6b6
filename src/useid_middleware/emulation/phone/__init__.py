"""The phone app of the device switch, emulated: on the command line and as a web page."""
