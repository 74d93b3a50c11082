"""The order of things: which stage runs when, from which files. The only folder that knows Prefect."""
