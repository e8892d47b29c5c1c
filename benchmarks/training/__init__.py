"""What training costs, stage by stage, and beside the same network in a plain loop."""
