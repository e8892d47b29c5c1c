"""Encoders in the Hugging Face format: from a folder or the hub, frozen or tuned, one file per kind."""
