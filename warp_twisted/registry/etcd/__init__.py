"""
The registry of a fleet: durable keys in etcd v3, leased ones in memory as with every store.

It decides how etcd is asked and followed; it does not know what the keys mean. `messages` writes and reads etcd's JSON,
`endpoints` says which member is asked, `trust` with which certificate, `client` asks it, `follower` hears of changes,
`identity` says which registry may be followed, `image` is what is known of it, `copy` keeps that on disk, `store` is
the `Store`. `blocking` and `moving` are for a command that copies a registry. Begin with `store`.
"""
