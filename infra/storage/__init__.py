"""Remote files (HTTP, S3): downloads that resume, and a node's own copies of them."""
