"""Where and how: profiles, pools, tracking, versioning, storage, set-up, doctor. Satisfies the Protocols of tasks/ports.py."""
