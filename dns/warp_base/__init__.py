"""
What `warp_dns` and `warp_twisted` both use; it knows neither.

`yaml_reader` reads settings files, and `host_port` addresses in them. How a process shares its one thread:
`token_buckets` prices what a peer causes, `slices` cuts long work, and `loop` runs and measures the reactor's turns.
How it speaks to who runs it: `nonblocking_writer` writes logs without waiting for their readers, `quiet_site`,
`exposition` and `answer_stream` answer monitoring, `systemd_socket` tells systemd, and `reactor` is Twisted's under
one type. They do not know one another.
"""
