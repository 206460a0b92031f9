"""The edge: visitors in front, tunnels behind, and what is published about them."""
