"""The plugin by which `tests.roles.playing` hears what each task came to."""
