"""Ansible inventories, as manifests."""
