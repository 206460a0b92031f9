"""Edges of one fleet as processes of their own, with a real etcd: what visitors notice of what breaks between them."""
