"""
`twistd warp-dns` as a program: its configuration file, its service, its log and what it tells systemd; its workers.

Begin at `service`; `configuration` reads dns.yaml, `worker` is what runs in a further process.
"""
