"""
Who is asking: sets of addresses, and what trusted proxies say of the visitors they speak for.

Pure. `prefixes` answers whether an address is in a list, `crowdsec` reads a list of CrowdSec's, `places` says where an
address is by a database's record of it; `proxy_protocol` reads the header that a proxy puts before a connection,
`forwarded` reads the header field it adds to a request.
"""
