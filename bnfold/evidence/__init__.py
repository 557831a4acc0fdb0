"""What a release keeps of how its network was made, in a form that other tools read."""
