"""
`twistd warp-dns` as a program: its configuration file, its service, its log and what it tells systemd; and the program of its
worker processes.

Begin at `service`; `configuration` reads dns.yaml.
"""
