"""Where work runs: pools of workers (serial, Ray), training processes, processes that end with their parent."""
