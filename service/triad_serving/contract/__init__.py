"""What training and serving agree on, whatever the media."""
