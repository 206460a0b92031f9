"""The roles: what can be known of them without a host. What they do to one is tested in `tests.fleet`."""
