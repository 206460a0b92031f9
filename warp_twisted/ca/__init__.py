"""Identity: the offline root, an intermediate for each edge, agents' short-lived certificates, and join tokens."""
