"""Helpers of the tests: tiny data, networks and runs."""
