"""Search through HTTP beside the library called directly."""
