"""Names of Warp's services for twistd; everything else is in each room's tap module."""

from twisted.application.service import ServiceMaker

edge = ServiceMaker("Warp edge", "warp_twisted.edge.tap", "Run a Warp edge node.", "warp-edge")
agent = ServiceMaker("Warp agent", "warp_twisted.agent.tap", "Run a Warp agent beside an origin.", "warp-agent")
dns = ServiceMaker("Warp DNS", "warp_dns.tap", "Run a Warp authoritative DNS server.", "warp-dns")
