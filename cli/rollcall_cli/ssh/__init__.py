"""What OpenSSH knows of hosts, as manifests."""
