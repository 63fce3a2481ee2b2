"""The REST facade: legacy dialects in front of the resources."""
