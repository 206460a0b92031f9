"""The plugin by which `tests.fleet.interrupted` ends a run of ansible-playbook in the middle."""
