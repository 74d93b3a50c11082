"""The order of things: which stage runs when, from which files, with which tools. The only folder that knows Prefect."""
