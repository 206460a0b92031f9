"""The issuing process with real authorities, name servers and signals."""
