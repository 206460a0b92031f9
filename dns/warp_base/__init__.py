"""
What `warp_dns` and `warp_twisted` both use; it knows neither.

`yaml_reader` reads settings files, and `host_port` addresses in them. How a process shares its one thread:
`token_buckets` prices what a peer causes, `slices` cuts long work, and `event_loop` measures each turn of the
reactor. `nonblocking_writer` writes logs without waiting for their readers. They do not know one another.
"""
