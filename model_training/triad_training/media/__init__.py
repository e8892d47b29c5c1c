"""What training adds to each medium."""
