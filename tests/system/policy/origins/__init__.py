"""Programs that say where they would look for a path; they run by themselves."""
