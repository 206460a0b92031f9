"""What DNS publishes of the registry: edges and tunnels come in, records go out. Nothing of it is stored."""
