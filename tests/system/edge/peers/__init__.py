"""Edges that tell each other what they have, over real connections."""
