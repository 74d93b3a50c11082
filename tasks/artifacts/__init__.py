"""The files that stages hand to each other: manifests, ledgers, shards, view sets, tables; resuming unfinished ones."""
