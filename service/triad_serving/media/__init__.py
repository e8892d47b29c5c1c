"""Raw media to model inputs: two functions per medium, so that training can augment between them."""
