"""Drives running services over loopback and compares them with each other and with a bare loop."""
