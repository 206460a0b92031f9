"""
The registry of a fleet: durable keys in etcd v3, leased ones in memory as with every store.

It decides how etcd is asked and followed; it does not know what the keys mean. `messages` writes and reads etcd's JSON,
`endpoints` says which member is asked, `client` asks it, `follower` keeps a copy current, `store` is the `Store`.
Begin with `store`.
"""
