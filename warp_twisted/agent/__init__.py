"""
The agent: dials out to the edges and carries their streams to the origins beside it; it listens on no port.
"""
