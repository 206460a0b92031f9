"""The deployment, on real hosts: `make test-fleet` boots them, runs the playbooks, visits what they made."""
