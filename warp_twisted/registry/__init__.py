"""The record of edges, tunnels, agents, join tokens and revocations, and what DNS publishes of it."""
