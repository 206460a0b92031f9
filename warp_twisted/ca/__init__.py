"""
Identity: the offline root, an intermediate for each edge, agents' short-lived certificates, and join tokens.

Decides what a certificate may say and how one is verified. Must not know who asks for it or why. Begin at `issue`
(pure), then `store` (the files) and `tokens`.
"""
