"""Programs whose machine's clock is wrong from the start, or is set while they run."""
