"""Benchmarks of the DNS server beside Knot, NSD and PowerDNS; run by `python -m benchmarks.dns`."""
