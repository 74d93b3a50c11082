"""Where and how: profiles, pools, tracking, versioning, storage, set-up. Satisfies the Protocols of tasks/ports.py."""
