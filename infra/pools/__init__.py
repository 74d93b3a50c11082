"""Ways to run a function over many items: one after the other here, or in worker processes that may crash and hang."""
